"""Which version scores when registry, artifacts or downloaded files are not as they were."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from jobs.streaming.progress import RunMetrics
from schemas.errors import ContractError, RegistryError
from schemas.feed import load_feed
from schemas.settings import load_settings
from streamscore.models.watch import AcceptedVersion, ModelRecords, ModelWatcher
from streamscore.registry.model_uri import MANIFEST
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.registry import Registry, open_registry
from streamscore.storage.folder import LocalFolder
from streamscore.storage.journal import LocalJournal
from tests.support.new_database import new_database
from tests.support.register_kit import a_version
from tests.support.wait import HANG_SECONDS, until

pytestmark = pytest.mark.trains

FEED = load_feed("wine_quality")
NOWHERE = "http://127.0.0.1:9"
POLL = 0.05


@dataclass
class Events:
    """What a follower told."""

    told: list[tuple[str, str, str]] = field(default_factory=list)  # kind, version, detail

    def __call__(self, kind: str, name: str, version: str, detail: str, batch_id: int | None = None) -> None:
        self.told.append((kind, version, detail))

    def kinds(self) -> list[str]:
        return [kind for kind, *_ in self.told if kind != "requirements"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with two versions; 1 is in Production."""
    folder = tmp_path_factory.mktemp("whole") / "registry"
    folder.mkdir()
    registry = registry_in(folder)
    for alpha in (0.01, 0.1):
        a_version(FEED, registry, alpha, promote=alpha == 0.01)
    shutil.copytree(folder, folder.parent / "kept")
    return folder


@pytest.fixture
def folder(whole: Path) -> Path:
    """The same, as it was at first."""
    shutil.rmtree(whole / "mlartifacts")
    shutil.copytree(whole.parent / "kept", whole, dirs_exist_ok=True)
    return whole


def registry_in(folder: Path, manifest: str = "required") -> Registry:
    flags = {"registry.tracking_uri": new_database(folder), "models.manifest": manifest}
    return open_registry(load_settings(flags=flags))


def registry_nowhere() -> Registry:
    return open_registry(load_settings(flags={"registry.tracking_uri": NOWHERE, "models.manifest": "required"}))


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Callable[..., ModelWatcher]]:
    """Followers of Production over one checkpoint."""
    made: list[ModelWatcher] = []

    def make(registry: Registry, events: Events) -> ModelWatcher:
        made.append(
            ModelWatcher("models:/wine_quality@production", FEED, registry, LocalFolder(tmp_path), tmp_path, events)
        )
        return made[-1]

    yield make
    for follower in made:
        follower.stop()


@pytest.fixture
def accepted(follow: Callable[..., ModelWatcher], folder: Path) -> AcceptedVersion:
    """Version 1, scored micro-batch 0 and stopped."""
    follower = follow(registry_in(folder), Events())
    follower.start(None, -1, 60.0)
    follower.for_batch(0)
    follower.stop()
    assert follower._records.last
    return follower._records.last


def artifacts_of(folder: Path, version: str) -> Path:
    model_id = registry_in(folder).resolve(f"models:/wine_quality/{version}").source.removeprefix("models:/")
    return folder / "mlartifacts" / "wine_quality" / "models" / model_id / "artifacts"


def point(folder: Path, version: str) -> None:
    """Production, without asking anybody."""
    with registry_in(folder).active() as mlflow:
        mlflow.MlflowClient().set_registered_model_alias("wine_quality", "production", version)


def drop_manifest(folder: Path, version: str) -> None:
    with registry_in(folder).active() as mlflow:
        mlflow.MlflowClient().delete_model_version_tag("wine_quality", version, MANIFEST)


def test_the_digest_of_what_scores_is_recorded_and_lines_without_one_still_load(
    accepted: AcceptedVersion, tmp_path: Path, folder: Path
) -> None:
    assert accepted.digest == registry_in(folder).resolve("models:/wine_quality/1").tags[MANIFEST].partition(":")[0]
    line = {"from_batch": 0, "name": "n", "version": "1", "run_id": "r", "path": "/p"}
    (tmp_path / "old.jsonl").write_text(json.dumps(line) + "\n")
    old = AcceptedVersion(0, ModelVersion("n", "1", "r"), "/p", digest="")
    assert ModelRecords(LocalJournal(tmp_path / "old.jsonl")).last == old


def test_the_line_of_a_version_in_the_journal_stays_as_it_is() -> None:
    line = b'{"from_batch": 7, "name": "n", "version": "1", "run_id": "r", "path": "/p", "digest": "d"}'
    assert AcceptedVersion(7, ModelVersion("n", "1", "r"), "/p", "d").to_json() == line
    assert AcceptedVersion.from_json(line).to_json() == line


@pytest.mark.parametrize(
    ("name", "version", "run_id", "uri"),
    [
        ("m", "3", "r", "models:/m/3"),
        ("model", "r", "r", "runs:/r/model"),
        ("model", "m-1", "r", "models:/m-1"),
    ],
)
def test_a_record_says_where_the_registry_has_its_version(name: str, version: str, run_id: str, uri: str) -> None:
    assert ModelVersion(name, version, run_id).uri == uri


def test_without_a_registry_the_version_accepted_last_goes_on_if_the_settings_allow_it(
    accepted: AcceptedVersion, follow: Callable[..., ModelWatcher]
) -> None:
    begun = time.monotonic()
    with pytest.raises(RegistryError, match="does not answer") as down:
        follow(registry_nowhere(), Events()).start(None, -1, POLL)
    assert down.value.exit_code == 4
    events = Events()
    model = follow(registry_nowhere(), events).start(None, -1, POLL, start_without=True)
    assert (model.version, model.path) == (accepted.model.version, accepted.path)
    assert time.monotonic() - begun < HANG_SECONDS  # MLflow alone tries for 4 minutes each time
    time.sleep(20 * POLL)
    assert [(kind, version) for kind, version, _ in events.told] == [("registry_down", "1")]
    assert NOWHERE in events.told[0][2]


def test_without_a_registry_files_that_rotted_are_not_loaded(
    accepted: AcceptedVersion, follow: Callable[..., ModelWatcher]
) -> None:
    Path(accepted.path, "model.skops").write_bytes(b"rotten")
    with pytest.raises(RegistryError, match="does not answer"):
        follow(registry_nowhere(), Events()).start(None, -1, POLL, start_without=True)


def test_without_a_registry_nothing_starts_that_was_never_accepted(follow: Callable[..., ModelWatcher]) -> None:
    with pytest.raises(RegistryError):
        follow(registry_nowhere(), Events()).start(None, -1, POLL, start_without=True)


def test_a_replay_gets_its_version_again_whatever_became_of_its_files(
    accepted: AcceptedVersion, follow: Callable[..., ModelWatcher], folder: Path
) -> None:
    shutil.rmtree(accepted.path)
    point(folder, "2")
    follower = follow(registry_in(folder), Events())
    assert follower.start(None, 0, 60.0).version == "2"
    assert follower.for_batch(0).version == "1"
    assert follower.for_batch(1).version == "2"
    assert [model.version for model in follower._loaded.values()] == ["2"]  # the other has nothing left to score


def test_a_replay_with_other_files_than_it_had_is_refused(
    accepted: AcceptedVersion, follow: Callable[..., ModelWatcher], folder: Path, tmp_path: Path
) -> None:
    line = json.loads((tmp_path / "models.jsonl").read_text())
    (tmp_path / "models.jsonl").write_text(json.dumps(line | {"digest": "0" * 64}) + "\n")
    follower = follow(registry_in(folder), Events())
    follower._replay_until = 0
    with pytest.raises(ContractError, match="wine_quality v1 has other files than when it scored from batch 0 on"):
        follower.for_batch(0)


def test_a_version_without_manifest_is_told_once_where_the_settings_accept_it(
    follow: Callable[..., ModelWatcher], folder: Path
) -> None:
    drop_manifest(folder, "1")
    events = Events()
    follower = follow(registry_in(folder, "warn"), events)
    follower.start(None, -1, POLL)
    point(folder, "2")
    until(lambda: follower.for_batch(1).version == "2")
    point(folder, "1")
    until(lambda: follower.for_batch(2).version == "1")
    assert events.kinds() == ["unverified", "swapped", "swapped"]
    assert events.told[0][2].endswith("next: streamscore promote wine_quality 1")


def test_a_version_refused_for_having_no_manifest_takes_over_once_it_has_one(
    follow: Callable[..., ModelWatcher], folder: Path
) -> None:
    events, registry = Events(), registry_in(folder)
    follower = follow(registry, events)
    follower.start(None, -1, POLL)
    drop_manifest(folder, "2")
    point(folder, "2")
    until(lambda: "refused" in events.kinds())
    assert follower.for_batch(1).version == "1"
    registry_in(folder).promote("wine_quality", "2", FEED)
    until(lambda: follower.for_batch(2).version == "2")
    assert events.kinds() == ["refused", "swapped"]


def test_a_version_with_damaged_files_is_refused_once_and_the_old_one_goes_on(
    follow: Callable[..., ModelWatcher], folder: Path
) -> None:
    events = Events()
    follower = follow(registry_in(folder), events)
    follower.start(None, -1, POLL)
    model = artifacts_of(folder, "2") / "model.skops"
    model.write_bytes(model.read_bytes()[:-100])
    point(folder, "2")
    until(lambda: "refused" in events.kinds())
    time.sleep(20 * POLL)
    assert [kind for kind, *_ in events.told] == ["refused"]
    assert "wine_quality v2: its file 'model.skops' is sha256" in events.told[0][2]
    assert follower.for_batch(1).version == "1"


def test_a_version_whose_files_cannot_be_read_is_told_once_and_tried_again(
    follow: Callable[..., ModelWatcher], folder: Path
) -> None:
    events = Events()
    follower = follow(registry_in(folder), events)
    follower.start(None, -1, POLL)
    stored = artifacts_of(folder, "2")
    stored.rename(stored.with_name("away"))
    point(folder, "2")
    until(lambda: "refused" in events.kinds())
    time.sleep(30 * POLL)
    assert follower.for_batch(1).version == "1"
    stored.with_name("away").rename(stored)
    until(lambda: follower.for_batch(2).version == "2")
    assert events.kinds() == ["refused", "swapped"]


def test_the_metric_follows_what_is_told_of_the_registry() -> None:
    metrics = RunMetrics(FEED)
    up = "streamscore_registry_up", {"feed": "wine_quality"}
    seen = [metrics.registry.get_sample_value(*up)]
    for kind in ("registry_down", "registry_up"):
        metrics.event(kind)
        seen.append(metrics.registry.get_sample_value(*up))
    assert seen == [1, 0, 1]


def test_a_registry_that_hangs_is_told_before_its_own_timeout(
    follow: Callable[..., ModelWatcher], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamscore.models.watch.SILENCE_SECONDS", 0.2)
    events, registry, released = Events(), registry_in(folder), threading.Event()
    follower = follow(registry, events)
    follower.start(None, -1, POLL)
    resolve = registry.resolve
    monkeypatch.setattr(registry, "resolve", lambda *a: (released.wait(HANG_SECONDS), resolve(*a))[1])
    until(lambda: events.kinds() == ["registry_down"])
    released.set()
    until(lambda: events.kinds() == ["registry_down", "registry_up"])
