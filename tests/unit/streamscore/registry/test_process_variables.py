"""Variables of the whole process: who may write them when, and that threads which need the same write nothing."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from schemas.errors import RegistryError
from schemas.settings import load_settings
from streamscore.registry import process_variables
from streamscore.registry.process_variables import ProcessVariables
from streamscore.registry.registry import Registry, open_registry
from tests.support.environment import noted_writes
from tests.support.new_database import new_database

NAMES = "MLFLOW_S3_ENDPOINT_URL", "AWS_DEFAULT_REGION", "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE", "AWS_MAX_ATTEMPTS"


@pytest.fixture(autouse=True)
def _shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment is as it was before, whatever is written in it."""
    before = dict(os.environ)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "of-the-shell")
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update({name: before[name] for name in before.keys() & set(NAMES)})


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return noted_writes(monkeypatch)


def registry_of(folder: Path) -> Registry:
    flags = {
        "registry.tracking_uri": new_database(folder),
        "storage.endpoint": "http://127.0.0.1:9",
        "storage.region": "here",
        "storage.path_style": True,
    }
    return open_registry(load_settings(flags=flags))


def test_within_it_mlflow_finds_the_object_store_of_the_settings(tmp_path: Path) -> None:
    with registry_of(tmp_path).active():
        assert [os.environ.get(name) for name in NAMES] == ["http://127.0.0.1:9", "here", "path", "2"]


def test_who_needs_the_same_values_writes_nothing(tmp_path: Path, writes: list[str]) -> None:
    first, second = registry_of(tmp_path).connection, registry_of(tmp_path).connection
    with first.store_variables():
        assert "AWS_DEFAULT_REGION" in writes
        writes.clear()
        with second.store_variables(), first.store_variables():
            pass
    with second.store_variables():
        assert os.environ["AWS_DEFAULT_REGION"] == "here"
    assert writes == []


def test_many_threads_that_read_a_registry_write_nothing(
    homes_registry: Registry, tmp_path: Path, writes: list[str]
) -> None:
    ref = homes_registry.resolve("models:/homes/1")
    homes_registry.download(ref, tmp_path / "first")  # MLflow is imported, the variables are there
    writes.clear()
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda n: homes_registry.download(ref, tmp_path / str(n)), range(16)))
    assert len({path.parent for path in paths}) == 16
    assert all((path / "MLmodel").is_file() for path in paths)
    assert writes == []


def test_a_download_asks_its_own_registry_while_another_is_active(homes_registry: Registry, tmp_path: Path) -> None:
    other = open_registry(load_settings(flags={"registry.tracking_uri": new_database(tmp_path)}))
    ref = homes_registry.resolve("models:/homes/1")
    for form in ("models:/homes/1", f"runs:/{ref.run_id}/model", ref.source):
        with other.active():
            found = homes_registry.mlmodel(homes_registry.resolve(form))
        assert found["signature"]


def test_one_with_other_values_waits_until_nobody_is_inside() -> None:
    variables, order, inside = ProcessVariables(), list[str](), threading.Event()

    def other() -> None:
        inside.wait()
        with variables.of({"A_STORE": "2", "AWS_DEFAULT_REGION": "there"}):
            order.append(f"second {os.environ['A_STORE']} {os.environ['AWS_DEFAULT_REGION']}")

    thread = threading.Thread(target=other)
    thread.start()
    with variables.of({"A_STORE": "1", "A_KEY": "1"}):
        inside.set()
        thread.join(0.2)
        order.append(f"first {os.environ['A_STORE']}")
    thread.join()
    assert order == ["first 1", "second 2 there"]
    assert "A_KEY" not in os.environ  # the second does not need it
    with variables.of({}):
        assert os.environ["AWS_DEFAULT_REGION"] == "of-the-shell"


def test_it_gives_up_where_another_store_is_in_use_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_variables, "WAIT_SECONDS", 0.05)
    variables = ProcessVariables()
    with variables.of({"A_STORE": "1"}), ThreadPoolExecutor(1) as pool:

        def other() -> None:
            with variables.of({"A_STORE": "2"}):
                pass

        with pytest.raises(RegistryError, match=r"use one process for each of them"):
            pool.submit(other).result()


def test_only_one_thread_is_active_at_a_time(homes_registry: Registry, tmp_path: Path) -> None:
    other = open_registry(load_settings(flags={"registry.tracking_uri": new_database(tmp_path)}))

    def is_its_own(registry: Registry) -> bool:
        with registry.active() as mlflow, registry.active():
            return all(mlflow.get_tracking_uri() == registry.tracking_uri for _ in range(100))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(is_its_own, [homes_registry, other] * 8))
