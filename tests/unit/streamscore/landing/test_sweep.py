"""Clean-up beside the stream: nothing goes before what takes its place is synced, and no micro-batch waits for it."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.errors import StorageError
from streamscore.landing import archive, sweep
from streamscore.landing.archive import REFUSALS, Archive
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.landing.sweep import Sweeper
from streamscore.storage.folder import LocalFolder
from streamscore.storage.sync import sync_folder
from tests.support.wait import until


class Results(LocalFolder):
    """A folder of results; notes what the landing folder held whenever it was synced."""

    def __init__(self, path: Path, landing: Path) -> None:
        super().__init__(path)
        self._landing, self.fails = landing, 0
        self.seen: list[list[str]] = []

    def sync(self) -> None:
        self.seen.append(sorted(path.name for path in self._landing.glob("*.csv")))
        if self.fails:
            self.fails -= 1
            raise OSError(5, "Input/output error")


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing"
    folder.mkdir()
    return folder


@pytest.fixture
def results(tmp_path: Path, landing: Path) -> Results:
    return Results(tmp_path / "tables", landing)


@pytest.fixture
def sweeper(landing: Path, results: Results) -> Callable[..., Sweeper]:
    def make(mode: str, retry_seconds: float = 0.0) -> Sweeper:
        journal = LocalFolder(landing.parent).open_journal(REFUSALS)
        return Sweeper(Archive(LocalFolder(landing), mode, journal, [results, results]), retry_seconds)

    return make


def land(landing: Path, *names: str) -> list[LandedFile]:
    files = []
    for name in names:
        path = landing / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
        files.append(LandedFile(path.as_uri(), 1, path.stat().st_mtime_ns))
    return files


def left(landing: Path) -> list[str]:
    return sorted(path.name for path in landing.glob("*.csv"))


@pytest.mark.parametrize("mode", ["archive", "delete"])
def test_many_micro_batches_share_one_sync_which_comes_first(
    sweeper: Callable[..., Sweeper], landing: Path, results: Results, mode: str
) -> None:
    made = sweeper(mode)
    for batch in range(5):
        made.add(land(landing, f"{batch}a.csv", f"{batch}b.csv"))
    assert len(left(landing)) == 10
    made.finish()
    assert left(landing) == []
    assert [len(seen) for seen in results.seen] == [10, 10]  # tables and checkpoint
    made.finish()
    assert len(results.seen) == 2


def test_nothing_is_swept_or_synced_in_mode_off(
    sweeper: Callable[..., Sweeper], landing: Path, results: Results
) -> None:
    made = sweeper("off")
    made.add(land(landing, "a.csv"))
    made.finish()
    assert (left(landing), results.seen, made._thread) == (["a.csv"], [], None)


def test_a_round_comes_by_itself(
    sweeper: Callable[..., Sweeper], landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "SECONDS", 0.01)
    made = sweeper("delete")
    made.add(land(landing, "a.csv"))
    until(lambda: not left(landing))
    made.add(land(landing, "b.csv"))
    until(lambda: not left(landing))
    made.close()


@pytest.mark.parametrize("mode", ["archive", "delete"])
def test_a_disk_that_does_not_sync_keeps_every_file_and_ends_the_stream(
    sweeper: Callable[..., Sweeper], landing: Path, results: Results, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(sweep, "SECONDS", 0.01)
    results.fails = 1
    made = sweeper(mode)
    made.add(land(landing, "a.csv"))
    until(lambda: made._error is not None)
    with pytest.raises(
        StorageError, match="cannot be synced to its disk: Input/output error; no processed file leaves"
    ):
        made.assert_well()
    assert left(landing) == ["a.csv"]


def test_a_sync_that_fails_once_is_tried_again(
    sweeper: Callable[..., Sweeper], landing: Path, results: Results
) -> None:
    results.fails = 1
    made = sweeper("delete", retry_seconds=5.0)
    made.add(land(landing, "a.csv"))
    made.finish()
    assert left(landing) == []
    made.assert_well()


def test_the_folders_of_a_move_are_synced_after_it_and_new_ones_when_they_are_made(
    sweeper: Callable[..., Sweeper], landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, list[str]]] = []

    def sync(path: Path) -> None:
        synced.append((os.path.relpath(path, landing), sorted(found.name for found in path.iterdir())))
        sync_folder(path)

    monkeypatch.setattr(archive, "sync_folder", sync)
    monkeypatch.setattr("streamscore.storage.sync.sync_folder", sync)
    made = sweeper("archive")
    made.add(land(landing, "sub/a.csv"))
    made.finish()
    assert synced[:2] == [(".", ["_archive", "sub"]), ("_archive", ["sub"])]
    assert synced[2:] == [("_archive/sub", ["a.csv"]), ("sub", [])]


def test_a_stop_sweeps_back_to_what_has_left_already(landing: Path) -> None:
    journal = LocalFolder(landing.parent).open_journal(REFUSALS)
    manifests = [BatchManifest(seq, tuple(land(landing, f"{seq}.csv"))) for seq in range(1, 5)]
    (landing / "2.csv").unlink()
    for mode, wanted in (("delete", ["4.csv", "3.csv"]), ("off", [])):
        files = Archive(LocalFolder(landing), mode, journal, ()).unswept(reversed(manifests))
        assert [file.path.rpartition("/")[2] for file in files] == wanted


def test_the_source_waits_for_no_round(landing: Path, results: Results, sweeper: Callable[..., Sweeper]) -> None:
    made = sweeper("delete")
    begun = time.monotonic()
    made.add(land(landing, "a.csv"))
    assert time.monotonic() - begun < sweep.SECONDS / 2
    assert results.seen == []
    made.close()
