"""Variables of the process: written before it has threads, so that nothing writes them while others read."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.cli.variables import write_variables
from schemas.settings import load_settings
from streamscore.registry.mlflow_module import import_mlflow
from streamscore.registry.registry import open_registry
from streamscore.storage.object_store import delta_options
from tests.support.environment import noted_writes
from tests.support.new_database import new_database


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The name of every variable that is written or deleted; the environment is as before afterwards."""
    before, written = dict(os.environ), noted_writes(monkeypatch)
    yield written
    monkeypatch.undo()
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def test_what_the_libraries_of_a_command_need_is_written_once_and_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: list[str]
) -> None:
    import_mlflow()
    for where in ("_tracking_service.utils._tracking_uri", "_model_registry.utils._registry_uri"):
        monkeypatch.setattr(f"mlflow.tracking.{where}", None)  # as in a process that has just started
    settings = load_settings(
        flags={
            "registry.tracking_uri": new_database(tmp_path),
            "storage.endpoint": "http://127.0.0.1:9",
            "storage.region": "here",
            "storage.path_style": True,
            "storage.ca_bundle": str(tmp_path / "ca.pem"),
        }
    )
    write_variables(settings, registry=True)
    assert {"SSL_CERT_FILE", "MLFLOW_S3_ENDPOINT_URL", "AWS_DEFAULT_REGION", "MLFLOW_TRACKING_URI"} <= set(writes)
    import_mlflow().get_tracking_uri()
    writes.clear()
    registry = open_registry(settings)
    with registry.active() as mlflow, registry.connection.store_variables():
        assert mlflow.get_tracking_uri() == registry.tracking_uri
    delta_options(settings.storage)
    write_variables(settings, registry=True)
    assert writes == []


def test_what_mlflow_takes_away_when_it_is_imported_is_gone_before(
    monkeypatch: pytest.MonkeyPatch, writes: list[str]
) -> None:
    import_mlflow()
    from mlflow.telemetry.client import set_telemetry_client

    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("_MLFLOW_TELEMETRY_SESSION_ID", "of-who-starts-it")
    write_variables(load_settings())
    writes.clear()
    set_telemetry_client()  # type: ignore[no-untyped-call]  # as MLflow's import does
    assert writes == []
