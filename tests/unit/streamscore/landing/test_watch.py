"""Whatever lies in a landing folder: files are found, at once, and what is none is passed over and told once."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from inotify_simple import INotify

from schemas.errors import StorageError
from streamscore.landing import inotify, settle, watch
from streamscore.landing.entries import BREATH, LONGEST_PATH
from streamscore.landing.listing import landed_files
from streamscore.landing.manifest import LandedFile
from streamscore.landing.troubles import FOUND_LATE, KEPT, ODD_TIME, PASSED_OVER, Trouble, Troubles
from streamscore.landing.watch import FolderWatcher
from streamscore.storage.folder import LocalFolder
from tests.support.nobody import as_nobody, folder_for_nobody

HOUR = 3600.0  # between two full looks: what is found before was told of


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing"
    folder.mkdir()
    return folder


class Watched:
    """A watcher, and what it told."""

    def __init__(self, landing: Path, full_look_seconds: float = HOUR) -> None:
        self.landing, self.troubles = landing, Troubles()
        self.watcher = FolderWatcher(landing, full_look_seconds, self.troubles)
        self.first = self.names(self.watcher.look())

    def names(self, files: list[LandedFile]) -> list[str]:
        return sorted(os.path.relpath(file.local_path, self.landing) for file in files)

    def wait(self, *names: str, seconds: float = 5.0) -> float:
        """Poll until these are found, each once; the seconds that it took."""
        begun, found = time.monotonic(), list[str]()
        while set(found) < set(names) and time.monotonic() < begun + seconds:
            found += self.names(self.watcher.poll(0.1))
        assert sorted(found) == sorted(names)
        return time.monotonic() - begun

    def told(self) -> list[str]:
        """What is new, kind and name."""
        told = list[str]()

        def hear(new: Sequence[Trouble], over: Sequence[Trouble]) -> bool:
            told.extend(f"{trouble.kind} {trouble.name}" for trouble in new)
            return True

        self.troubles.tell(hear)
        return sorted(told)


@pytest.fixture
def watched(landing: Path) -> Iterator[Watched]:
    made = Watched(landing)
    yield made
    made.watcher.close()


def land(path: Path, text: str = "x", age: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if age:
        os.utime(path, (time.time() - age,) * 2)
    return path


def no_files(landing: Path) -> list[str]:
    """Of each kind one, named like a landed file; their names."""
    os.mkfifo(landing / "fifo.csv")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as made:
        made.bind(os.path.relpath(landing / "socket.csv"))
    (landing / "loop.csv").symlink_to("loop.csv")
    (landing / "dangling.csv").symlink_to("nowhere")
    (landing / "passwd.csv").symlink_to("/etc/passwd")
    (landing / "latest").symlink_to(".", target_is_directory=True)
    names = ["fifo.csv", "socket.csv", "loop.csv", "dangling.csv", "passwd.csv", "latest"]
    with contextlib.suppress(PermissionError):  # only root makes one, and not in every container
        os.mknod(landing / "device.csv", 0o20644, os.makedev(1, 3))
        names.append("device.csv")
    return names


def test_what_is_no_file_is_passed_over_at_a_start_and_told_once(landing: Path) -> None:
    names = no_files(landing)
    os.mkfifo(landing / ".hidden.csv")
    os.mkfifo(landing / "pipe")
    land(landing / "good.csv")
    watched = Watched(landing, 0.01)
    assert watched.first == ["good.csv"]
    assert watched.told() == sorted(f"{PASSED_OVER} {name}" for name in names)
    watched.wait("good.csv")  # a full look finds it again
    assert watched.told() == []


def test_what_is_no_file_is_passed_over_as_it_comes_and_told_once(watched: Watched, landing: Path) -> None:
    names = no_files(landing)
    land(landing / "good.csv")
    watched.wait("good.csv")
    assert watched.told() == sorted(f"{PASSED_OVER} {name}" for name in names)


def test_a_landing_folder_may_itself_be_a_link(landing: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(landing)
    land(landing / "sub" / "a.csv")
    assert Watched(tmp_path / "link").first == ["sub/a.csv"]


@pytest.mark.parametrize("mode", [0o000, 0o444, 0o111])
def test_a_folder_that_may_not_be_looked_into_hides_no_other(mode: int) -> None:
    with folder_for_nobody() as landing:
        for name in ("a/1.csv", "lost+found/2.csv", "z/3.csv"):
            land(landing / name, age=10)
        os.chmod(landing / "lost+found", mode)

        def look() -> tuple[list[str], list[str]]:
            watched = Watched(landing)
            return watched.first, watched.told()

        found, told = as_nobody(look)
        os.chmod(landing / "lost+found", 0o755)
    assert (found, told) == (["a/1.csv", "z/3.csv"], [f"{PASSED_OVER} lost+found"])


def test_a_folder_that_may_be_looked_into_again_is_told_again_when_it_may_not() -> None:
    with folder_for_nobody() as landing:
        land(landing / "sub" / "a.csv", age=10)

        def look() -> list[str]:
            os.chmod(landing, 0o755)
            watched, told = Watched(landing), list[str]()
            for mode in (0o000, 0o755, 0o000):
                os.chmod(landing / "sub", mode)
                watched.watcher.look()
                told += watched.told()
            os.chmod(landing / "sub", 0o755)
            return told

        shutil.rmtree(landing / "sub")
        told = as_nobody(lambda: [land(landing / "sub" / "a.csv", age=10), *look()][1:])
    assert told == [f"{PASSED_OVER} sub"] * 2


def test_a_path_that_is_too_long_is_told_once_and_hides_nothing(landing: Path) -> None:
    home, part = os.getcwd(), "d" * 250
    land(landing / "good.csv")
    try:
        os.chdir(landing)
        for _ in range(LONGEST_PATH // len(part) + 3):
            os.mkdir(part)
            os.chdir(part)
        Path("deep.csv").write_text("x")
    finally:
        os.chdir(home)
    watched = Watched(landing)
    assert watched.first == ["good.csv"]
    (told,) = watched.told()
    assert told.startswith(f"{PASSED_OVER} {part[:90]}")
    subprocess.run(["rm", "-rf", landing / part], check=True)


@pytest.mark.repeats
def test_folders_may_be_nested_as_deep_as_the_system_takes(landing: Path) -> None:
    land(landing / "good.csv")
    deep = f"{landing}" + "/a" * (sys.getrecursionlimit() + 10)
    subprocess.run(["mkdir", "-p", deep], check=True)
    assert len(Path(deep).parts) > sys.getrecursionlimit()
    Path(deep, "a.csv").write_text("x")
    found = Watched(landing).first
    subprocess.run(["rm", "-rf", landing / "a"], check=True)
    assert len(found) == 2


def test_many_entries_that_are_no_files_hold_up_no_poll(watched: Watched, landing: Path) -> None:
    """A slice of a full look ends after a few milliseconds, whatever it meets."""
    for number in range(3 * BREATH):
        os.symlink("nowhere", landing / f"{number}.txt")
    breaths = [file for file in watched.watcher._settled() if file is None]
    assert len(breaths) == 3
    assert len(watched.told()) == KEPT


def test_a_full_look_comes_to_its_turn_where_files_come_all_the_time(
    monkeypatch: pytest.MonkeyPatch, landing: Path
) -> None:
    monkeypatch.setattr(inotify, "file_system", lambda device: "nfs4")
    monkeypatch.setattr(watch, "PATIENCE_SECONDS", 0.2)
    watched = Watched(landing)
    land(landing / "unheard.csv")
    always = LandedFile("file:///in/heard.csv", 1, 1)
    monkeypatch.setattr(watched.watcher, "_of_events", lambda heard: [always])
    found, until = list[LandedFile](), time.monotonic() + 5
    while all(file == always for file in found) and time.monotonic() < until:
        found += watched.watcher.poll(0)
    assert [file.path for file in found if file != always] == [(landing / "unheard.csv").as_uri()]


@pytest.mark.parametrize("links", ["hard", "hard and the first name removed", "folder"])
def test_what_is_linked_or_moved_in_is_found_at_once(watched: Watched, landing: Path, links: str) -> None:
    other = land(landing.parent / "outbox" / "a.csv", age=10)
    if links == "folder":
        other.parent.rename(landing / "sub")
        assert watched.wait("sub/a.csv") < 2
        return
    os.link(other, landing / "a.csv")
    if links != "hard":
        other.unlink()
    assert watched.wait("a.csv") < 2


def test_a_link_to_a_file_that_is_being_written_waits_until_it_is_closed(watched: Watched, landing: Path) -> None:
    with (landing.parent / "slow.csv").open("w") as slow:
        slow.write("half")
        slow.flush()
        os.link(slow.name, landing / "slow.csv")
        for _ in range(3):
            assert watched.watcher.poll(0.05) == []
    watched.wait("slow.csv")


def test_a_file_that_is_created_waits_until_it_is_closed(watched: Watched, landing: Path) -> None:
    with (landing / "slow.csv").open("w") as slow:
        slow.write("half")
        slow.flush()
        for _ in range(3):
            assert watched.watcher.poll(0.05) == []
    watched.wait("slow.csv")


def test_a_folder_of_another_user_that_is_moved_in_is_found_at_once(
    monkeypatch: pytest.MonkeyPatch, watched: Watched, landing: Path
) -> None:
    """Nobody gets a lease on a file of another user."""
    monkeypatch.setattr(settle, "lease", lambda path: None)
    land(landing.parent / "outbox" / "a.csv", age=10).parent.rename(landing / "sub")
    assert watched.wait("sub/a.csv") < 2


def test_where_no_lease_is_to_be_had_a_file_waits_until_it_is_quiet(
    monkeypatch: pytest.MonkeyPatch, landing: Path
) -> None:
    monkeypatch.setattr(settle, "lease", lambda path: False)  # as on file systems that grant none to anybody
    monkeypatch.setattr(settle, "QUIET_SECONDS", 0.3)
    land(landing / "old.csv", age=10)
    with (landing / "slow.csv").open("w") as slow:
        slow.write("first")
        slow.flush()
        watched = Watched(landing)
        assert "old.csv" in watched.first


def test_nothing_is_polled_while_a_file_does_not_settle(
    monkeypatch: pytest.MonkeyPatch, watched: Watched, landing: Path
) -> None:
    """Such a file made the source poll every millisecond, for as long as it grew."""
    reads, read = list[float](), watched.watcher._ears.read

    def count(seconds: float) -> list[inotify.Heard] | None:
        reads.append(seconds)
        return read(seconds)

    monkeypatch.setattr(settle, "lease", lambda path: None)
    monkeypatch.setattr(watched.watcher._ears, "read", count)
    monkeypatch.setattr(settle, "_patience", lambda status: HOUR)
    land(landing.parent / "outbox" / "a.csv").parent.rename(landing / "sub")
    begun = time.monotonic()
    while time.monotonic() < begun + 0.6:
        assert watched.watcher.poll(0.1) == []
    assert len(reads) < 6 + 6 + 4


def test_a_folder_that_is_replaced_is_watched_like_the_one_before(watched: Watched, landing: Path) -> None:
    for number in range(2):
        landing.rename(landing.parent / f"old{number}")
        land(landing / f"{number}.csv")
        watched.wait(f"{number}.csv")
        land(landing / f"again{number}.csv")
        watched.wait(f"again{number}.csv")
        land(landing.parent / f"old{number}" / f"again{number}.csv")
        assert watched.watcher.poll(0) == []


def test_a_sub_folder_that_is_moved_out_tells_nothing_any_more(landing: Path) -> None:
    land(landing / "sub" / "a.csv")
    watched = Watched(landing)
    (landing / "sub").rename(landing.parent / "elsewhere")
    (landing / "sub").mkdir()
    assert watched.watcher.poll(0.1) == []
    with (landing / "sub" / "b.csv").open("w") as slow:  # not yet complete
        slow.write("half")
        slow.flush()
        land(landing.parent / "elsewhere" / "b.csv")
        assert watched.watcher.poll(0.2) == []
    watched.wait("sub/b.csv")


def test_a_landing_folder_that_is_gone_is_a_fault_of_storage_that_passes(watched: Watched, landing: Path) -> None:
    landing.rename(landing.parent / "away")
    with pytest.raises(StorageError, match="No such file or directory, wanted a folder"):
        watched.watcher.poll(0.1)
    with pytest.raises(StorageError):
        watched.watcher.poll(0)
    (landing.parent / "away").rename(landing)
    land(landing / "a.csv")
    watched.wait("a.csv")


def test_without_a_watch_left_files_are_found_by_looking(monkeypatch: pytest.MonkeyPatch, landing: Path) -> None:
    class Few(INotify):  # type: ignore[misc]  # inotify_simple has no types
        def add_watch(self, path: str, mask: int) -> int:
            if path.endswith("sub"):
                raise OSError(28, os.strerror(28))
            return int(super().add_watch(path, mask))

    monkeypatch.setattr(inotify, "INotify", Few)
    land(landing / "sub" / "a.csv")
    watched = Watched(landing)
    assert (watched.first, watched.told()) == (["sub/a.csv"], [f"{FOUND_LATE} sub"])
    land(landing / "sub" / "b.csv")
    assert watched.wait("sub/a.csv", "sub/b.csv") < 3
    shutil.rmtree(landing / "sub")
    time.sleep(watch.SHORT_LOOK_SECONDS)
    watched.watcher.look()
    assert not watched.watcher._ears.is_deaf


def test_without_inotify_files_are_found_by_looking(monkeypatch: pytest.MonkeyPatch, landing: Path) -> None:
    def none_left() -> None:
        raise OSError(24, os.strerror(24))

    monkeypatch.setattr(inotify, "INotify", none_left)
    watched = Watched(landing)
    assert watched.told() == [f"{FOUND_LATE} ."]
    with land(landing / "slow.csv").open("a") as slow:
        assert watched.watcher.poll(1.2) == []
        slow.write("more")
    assert watched.wait("slow.csv") < 3


def test_where_another_machine_writes_files_are_found_by_looking(
    monkeypatch: pytest.MonkeyPatch, landing: Path
) -> None:
    monkeypatch.setattr(inotify, "file_system", lambda device: "nfs4")
    heard = inotify.Ears.read
    monkeypatch.setattr(inotify.Ears, "read", lambda ears, seconds: heard(ears, seconds) and [])  # nothing is told
    watched = Watched(landing)
    land(landing / "a.csv")
    assert watched.wait("a.csv") < 3
    assert watched.told() == []  # of such a folder it is nothing special


def test_the_kind_of_a_file_system_is_known() -> None:
    assert inotify.file_system(os.stat("/proc").st_dev) == "proc"
    assert inotify.file_system(os.makedev(4095, 4095)) == ""
    assert not inotify.is_remote("/proc")


def test_a_file_with_an_odd_time_is_found_and_told(tmp_path: Path) -> None:
    folder = Path("/dev/shm") if Path("/dev/shm").is_dir() else tmp_path
    landing = folder / f"streamscore-{os.getpid()}"
    landing.mkdir()
    try:
        path = land(landing / "a.csv")
        os.utime(path, ns=(0, 10**19))
        if path.stat().st_mtime_ns != 10**19:
            pytest.skip("no file system here has times after 2262")
        watched = Watched(landing)
        assert (watched.first, watched.told()) == (["a.csv"], [f"{ODD_TIME} a.csv"])
    finally:
        shutil.rmtree(landing)


def test_the_feed_says_which_names_are_landed(landing: Path) -> None:
    land(landing / "a.TSV", age=HOUR)
    land(landing / "b.csv", age=HOUR)
    watcher = FolderWatcher(landing, HOUR, endings=(".tsv", ".csv.zst"))
    try:
        assert [Path(file.local_path).name for file in watcher.look()] == ["a.TSV"]
        for name in ("c.csv.gz", "d.csv.zst", "e.tsv.gz"):
            land(landing / name)
        found = list[str]()
        until = time.monotonic() + 5
        while not found and time.monotonic() < until:
            found += [Path(file.local_path).name for file in watcher.poll(0.1)]
        assert found == ["d.csv.zst"]
    finally:
        watcher.close()
    assert [Path(file.local_path).name for file in landed_files(LocalFolder(landing), endings=(".csv",))] == ["b.csv"]
