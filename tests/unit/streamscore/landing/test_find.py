"""From one manifest to the next: each settled file once, oldest first, whatever crashed in between."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.errors import ConflictError, RecoveryError
from streamscore.landing.find import DiscoveryOptions, FileDiscovery
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.storage.folder import LocalFolder
from streamscore.storage.stream_paths import StreamPaths
from tests.support.finder_kit import AskedBySpark, write_offset
from tests.support.finding_contract import START, FindingContract, LandingPlace

MANY = 100_000


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing"
    folder.mkdir()
    return folder


@pytest.fixture
def finder(tmp_path: Path, landing: Path) -> Callable[..., FileDiscovery]:
    """A finder as a new process makes it."""
    checkpoint, tables = tmp_path / "checkpoint", tmp_path / "tables"
    checkpoint.mkdir()
    tables.mkdir()

    def make(max_files: int = 100, max_bytes: int = 2**20, clean: str = "off") -> FileDiscovery:
        paths = StreamPaths(LocalFolder(landing), str(tables), LocalFolder(checkpoint), checkpoint)
        return AskedBySpark(DiscoveryOptions(paths, max_files, max_bytes, clean))

    return make


def land(landing: Path, name: str, text: str = "x", age: int = 0) -> Path:
    path = landing / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if age:
        os.utime(path, (1_700_000_000 - age, 1_700_000_000 - age))
    return path


def names(manifest: BatchManifest) -> list[str]:
    return [Path(f.local_path).name + ("!" if f.changed else "") for f in manifest.files]


class LocalPlace(LandingPlace):
    def __init__(self, folder: Path) -> None:
        self.folder, checkpoint, tables = (folder / name for name in ("in", "checkpoint", "tables"))
        for made in (self.folder, checkpoint, tables):
            made.mkdir()
        super().__init__(StreamPaths(LocalFolder(self.folder), str(tables), LocalFolder(checkpoint), checkpoint))

    def land(self, name: str, text: str = "x") -> object:
        return land(self.folder, name, text)

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


class TestFindingInAFolder(FindingContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> LandingPlace:
        return LocalPlace(tmp_path)


def test_files_come_oldest_first_each_once(finder: Callable[..., FileDiscovery], landing: Path) -> None:
    for age, name in enumerate(["c.csv", "b.csv", "a.csv", "sub/d.csv"]):
        land(landing, name, age=age + 1)
    found = finder(max_files=3)
    first = found.after(START, 100)
    second = found.after(first, 100)
    assert (names(first), names(second)) == (["d.csv", "a.csv", "b.csv"], ["c.csv"])
    assert found.after(second, 100) == second


def test_what_lands_while_newer_files_wait_goes_before_them(
    finder: Callable[..., FileDiscovery], landing: Path
) -> None:
    for age, name in ((5, "a.csv"), (3, "c.csv"), (1, "e.csv")):
        land(landing, name, age=age)
    found = finder(max_files=1)
    first = found.after(START, 100)
    land(landing.parent, "d.csv", age=2).rename(landing / "d.csv")
    land(landing.parent, "b.csv", age=4).rename(landing / "b.csv")
    given = [first]
    while len(given) < 5:
        given.append(found.after(given[-1], 100))
    assert [names(manifest) for manifest in given] == [["a.csv"], ["b.csv"], ["c.csv"], ["d.csv"], ["e.csv"]]


def test_bytes_bound_a_manifest_which_has_at_least_one_file(
    finder: Callable[..., FileDiscovery], landing: Path
) -> None:
    for age, name in ((3, "a.csv"), (2, "b.csv"), (1, "c.csv")):
        land(landing, name, "x" * 600, age)
    found = finder(max_bytes=1300)
    assert names(found.after(START, 100)) == ["a.csv", "b.csv"]
    assert names(finder(max_bytes=10).after(START, 100)) == ["a.csv"]


def test_a_file_that_is_being_written_waits_until_it_is_closed(
    finder: Callable[..., FileDiscovery], landing: Path
) -> None:
    with (landing / "slow.csv").open("w") as slow:
        slow.write("half")
        slow.flush()
        found = finder()
        assert found.after(START, 100) == START
        slow.write(" whole")
    (file,) = found.after(START, 100).files
    assert file.size == len("half whole")


def test_a_file_moved_in_later_is_found_by_its_event(finder: Callable[..., FileDiscovery], landing: Path) -> None:
    found = finder()
    assert found.after(START, 100) == START
    land(landing, ".new.csv").rename(landing / "new.csv")
    (landing / "deep" / "er").mkdir(parents=True)
    land(landing, "deep/er/new2.csv")
    seen = names(first := found.after(START, 100))
    while len(seen) < 2:
        seen += names(first := found.after(first, 100))
    assert sorted(seen) == ["new.csv", "new2.csv"]


def test_a_manifest_that_spark_did_not_take_is_given_again(finder: Callable[..., FileDiscovery], landing: Path) -> None:
    land(landing, "a.csv")
    found = finder()
    first = found.after(START, 100)
    land(landing, "b.csv")
    assert found.after(START, 100) == first


def test_a_torn_line_of_the_ledger_is_cut_off(
    finder: Callable[..., FileDiscovery], landing: Path, tmp_path: Path
) -> None:
    land(landing, "a.csv")
    first = finder().after(START, 100)
    finder().after(first, 100)
    ledger = tmp_path / "checkpoint" / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes() + b'{"seq":2,"fil')
    land(landing, "b.csv")
    again = finder()
    second = again.after(first, 100)
    again.after(second, 100)
    assert [json.loads(line)["seq"] for line in ledger.read_text().splitlines()] == [0, 1, 2]


def test_a_damaged_ledger_is_refused_with_the_way_out(
    finder: Callable[..., FileDiscovery], landing: Path, tmp_path: Path
) -> None:
    (tmp_path / "checkpoint" / "ledger.jsonl").write_text('{"seq":0,"files":[]}\nrubbish\n{"seq":2,"files":[]}\n')
    with pytest.raises(RecoveryError, match="--recover"):
        finder().after(BatchManifest(2), 100)


def test_known_path_with_other_content_is_handed_on_as_changed(
    finder: Callable[..., FileDiscovery], landing: Path
) -> None:
    land(landing, "a.csv", "one")
    found = finder()
    first = found.after(START, 100)
    assert found.after(first, 100) == first
    land(landing, "a.csv", "two, longer")
    second = found.after(first, 100)
    assert names(second) == ["a.csv!"]
    assert found.after(second, 100) == second


def test_one_future_dated_file_hides_no_other(finder: Callable[..., FileDiscovery], landing: Path) -> None:
    future = land(landing, "future.csv")
    os.utime(future, (4_000_000_000, 4_000_000_000))
    found = finder()
    first = found.after(START, 100)
    land(landing, "now.csv")
    assert (names(first), names(found.after(first, 100))) == (["future.csv"], ["now.csv"])


def test_a_drain_takes_what_is_there_and_nothing_later(finder: Callable[..., FileDiscovery], landing: Path) -> None:
    land(landing, "a.csv")
    found = finder()
    found.drain()
    land(landing, "late.csv")
    first = found.after(START, 100)
    assert names(first) == ["a.csv"]
    assert found.after(first, 100) == first


def test_an_offset_that_another_driver_wrote_is_a_conflict(
    finder: Callable[..., FileDiscovery], landing: Path, tmp_path: Path
) -> None:
    """Files of a batch that Spark believes to have written, and did not, must not be held for seen."""
    land(landing, "a.csv")
    found = finder()
    first = found.after(START, 100)
    land(landing, "b.csv")
    others = finder().after(START, 100)
    write_offset(LocalFolder(tmp_path / "checkpoint"), others)
    with pytest.raises(ConflictError, match="--recover"):
        FileDiscovery.after(found, first, 100)


class Compared(int):
    """A file's time that counts how often it is compared."""

    times = 0

    def __eq__(self, other: object) -> bool:
        Compared.times += 1
        return int(self) == other

    def __lt__(self, other: int) -> bool:
        Compared.times += 1
        return int(self) < int(other)

    __hash__ = int.__hash__


def test_a_manifest_costs_its_own_files_and_not_all_that_wait(
    finder: Callable[..., FileDiscovery], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sorting all that wait for each manifest took 1.9 s of a million files."""
    waiting = [LandedFile(f"file:///in/{n}.csv", 1, Compared(n * 7919 % MANY)) for n in range(MANY)]
    found = finder(max_files=10)
    monkeypatch.setattr(found._watcher, "look", lambda: waiting)
    monkeypatch.setattr(found._watcher, "poll", lambda seconds: [])
    first = found.after(START, 100)
    Compared.times = 0
    second = found.after(first, 100)
    assert Compared.times < 10 * 10 * MANY.bit_length()
    assert [f.modified for f in (*first.files, *second.files)] == list(range(20))
