"""Versions of a model store where the rest of the project asks for models; no MLflow server answers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from jobs.cli import app
from jobs.cli.options import out
from jobs.operations.check_version import check_version
from jobs.operations.doctor.model import check_model
from schemas.errors import ContractError, RegistryError
from schemas.feed import Feed
from schemas.settings import Settings, load_settings
from streamscore.models.load import load_version
from streamscore.models.watch import ModelWatcher
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.registry import Registry, open_registry
from streamscore.registry.store.push import Pushed, push
from streamscore.storage.folder import LocalFolder
from tests.support.wait import HANG_SECONDS, until

pytestmark = pytest.mark.trains

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    flags = {
        "registry.tracking_uri": NOWHERE,
        "registry.poll_seconds": 0.05,
        "models.manifest": "required",
        "store.path": str(tmp_path / "store"),
    }
    return load_settings(flags=flags)


@pytest.fixture
def registry(settings: Settings) -> Registry:
    return open_registry(settings)


@pytest.fixture
def push_version(registry: Registry, save_model: Callable[..., Path]) -> Callable[[str, float], Path]:
    """Pushes a model of the feed `small` that adds so much to its first column; returns its folder."""

    def do(version: str, added: float) -> Path:
        path = save_model(f"return model_input['a'] + {added}", np.array([1.0]))
        push(registry.store, Pushed(path, str(path)), "small", version, registry.models)
        return path

    return do


@pytest.fixture
def watcher(registry: Registry, small_feed: Feed, tmp_path: Path) -> Iterator[ModelWatcher]:
    def tell(kind: str, name: str, version: str, detail: str, batch_id: int | None = None) -> None:
        told.append(kind)

    told: list[str] = []
    folder = LocalFolder(tmp_path / "checkpoint")
    folder.make()
    made = ModelWatcher("store:/small/^1", small_feed, registry, folder, tmp_path, tell)
    yield made
    made.stop()
    assert "unverified" not in told and "registry_down" not in told


def test_a_stream_follows_a_range_and_leaves_what_breaks(
    push_version: Callable[[str, float], Path], watcher: ModelWatcher, registry: Registry
) -> None:
    push_version("1.0.0", 1.0)
    first = watcher.start(None, -1, 0.05)
    assert (first.identity.uri, first.output) == ("store:/small/1.0.0", pa.float64())
    watcher.for_batch(0)
    push_version("2.0.0", 2.0)
    push_version("1.1.0", 1.1)
    until(lambda: watcher.ready is not None and watcher.ready.version == "1.1.0", HANG_SECONDS)
    assert watcher.for_batch(1).version == "1.1.0"
    assert registry.resolve(ModelVersion("small", "1.0.0", "").uri).version == "1.0.0"  # as a replay asks for it


def test_a_version_passes_the_check_of_training_and_the_doctor(
    push_version: Callable[[str, float], Path], registry: Registry, settings: Settings, small_feed: Feed
) -> None:
    push_version("1.0.0", 1.0)
    assert check_version(small_feed, "small", "1.0.0", registry).differences == ()
    feed = small_feed.model_copy(update={"model": "store:/small/^1"})
    checks = check_model(feed, settings)
    assert [(check.name, check.ok) for check in checks] == [
        ("registry", True),
        ("model", True),
        ("contract", True),
        ("safety", True),
    ]
    missing = check_model(feed.model_copy(update={"model": "store:/small/^2"}), settings)
    assert [(check.name, check.ok) for check in missing] == [("registry", True), ("model", False)]
    assert "streamscore store push" in missing[1].fix


def test_a_file_that_was_changed_in_the_store_is_not_loaded(
    push_version: Callable[[str, float], Path], registry: Registry, tmp_path: Path, small_feed: Feed
) -> None:
    push_version("1.0.0", 1.0)
    ref = registry.resolve("store:/small/latest")
    assert load_version(registry.download(ref, tmp_path / "first"), small_feed, ref.model).version == "1.0.0"
    (code,) = (tmp_path / "store/models/small/1_0_0").rglob("model_*.py")
    code.write_text(code.read_text() + "\n# changed")
    with pytest.raises(ContractError, match="its manifest says"):
        registry.download(ref, tmp_path / "second")


@pytest.mark.parametrize("uri", ["store:/small", "store:/small/1", "store:/small/@production", "store://small/1.0.0"])
def test_a_uri_of_another_form_is_told_the_right_one(registry: Registry, uri: str) -> None:
    with pytest.raises(RegistryError, match="wanted store:/NAME/VERSION"):
        registry.resolve(uri)


def test_the_commands_push_list_show_pull_and_copy(
    save_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREAMSCORE_REGISTRY__TRACKING_URI", NOWHERE)
    monkeypatch.setattr(out, "width", 200)  # no line of a table is broken
    path = save_model("return model_input['a']", np.array([1.0]))
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")

    def say(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["store", *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return " ".join(done.output.split())

    said = say("push", str(path), "small", "1.0.0", "--data", "rows.csv")
    assert "store:/small/1.0.0 is in" in said and (tmp_path / "var/store/models/small/1_0_0/version.json").exists()
    assert "1.0.0" in say("list") and "rows.csv (8 bytes)" in say("list", "small")
    assert '"name": "small"' in say("show", "small", "--json") and "MLmodel" in say("show", "small", "^1")
    assert say("copy", "small", "^1", "other").endswith("/other")
    say("pull", "small", "latest", "pulled", "--store", "other")
    assert (tmp_path / "pulled/data/rows.csv").read_text() == "a,b\n1,2\n"
    say("push", "store:/small/1.0.0", "smaller", "0.1.0")
    assert "smaller" in say("list")
