"""What becomes of processed files: one that cannot be cleaned up stays, is noted, and stops no other."""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from streamscore.landing.archive import Archive
from streamscore.landing.manifest import LandedFile
from streamscore.landing.troubles import NOT_CLEANED_UP, Trouble
from streamscore.storage.folder import LocalFolder
from streamscore.storage.journal import LocalJournal
from tests.support.nobody import as_nobody, folder_for_nobody, give_to_nobody

MANY = 100_000


def landed(path: Path) -> LandedFile:
    status = path.stat()
    return LandedFile(path.as_uri(), status.st_size, status.st_mtime_ns)


def land(landing: Path, *names: str) -> list[LandedFile]:
    for name in names:
        (landing / name).parent.mkdir(parents=True, exist_ok=True)
        (landing / name).write_text(name)
    return [landed(landing / name) for name in names]


def names_in(landing: Path, folder: str = "") -> list[str]:
    return sorted(str(path.relative_to(landing / folder)) for path in (landing / folder).rglob("*.csv*"))


@pytest.fixture
def landing() -> Iterator[Path]:
    with folder_for_nobody() as folder:
        yield folder


def archive(landing: Path, mode: str) -> Archive:
    return Archive(LocalFolder(landing), mode, LocalJournal(landing / ".refused.jsonl"), [])


def swept(landing: Path, mode: str, files: list[LandedFile]) -> dict[str, str]:
    """Name → why, of each file that was noted as one that stays."""
    made, noted = archive(landing, mode), dict[str, str]()
    made.sweep(files)
    made.troubles.tell(lambda new, over: bool(noted.update({t.name: t.why for t in new if t.kind == NOT_CLEANED_UP})))
    return noted


@pytest.mark.parametrize("mode", ["archive", "delete"])
def test_a_file_in_a_folder_of_another_user_stays_and_the_others_go(landing: Path, mode: str) -> None:
    files = land(landing, "a.csv", "theirs/b.csv", "c.csv")
    for name in ("a.csv", "c.csv"):
        give_to_nobody(landing / name)
    (landing / "theirs").chmod(0o555)
    noted = as_nobody(lambda: swept(landing, mode, files))
    (landing / "theirs").chmod(0o755)
    assert list(noted) == ["theirs/b.csv"]
    assert "Permission denied" in noted["theirs/b.csv"]
    assert sorted(path.name for path in landing.glob("*.csv")) == []
    assert (landing / "theirs" / "b.csv").exists()


def test_a_file_on_another_disk_stays_and_the_others_go(landing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = land(landing, "disk/a.csv", "b.csv")
    rename = Path.rename

    def on_two_disks(self: Path, target: Path) -> Path:
        if self.parent.name == "disk":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(self), None, str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", on_two_disks)
    noted = swept(landing, "archive", files)
    assert list(noted) == ["disk/a.csv"] and "cross-device" in noted["disk/a.csv"]
    assert names_in(landing, "_archive") == ["b.csv"]


def test_a_name_that_becomes_too_long_in_the_archive_stays(landing: Path) -> None:
    longest = "x" * 251 + ".csv"
    land(landing, f"_archive/{longest}")
    noted = swept(landing, "archive", land(landing, longest, "b.csv"))
    assert len(noted) == 1 and "too long" in next(iter(noted.values()))
    assert names_in(landing, "_archive") == ["b.csv", longest]


@pytest.mark.parametrize("lie", ["link", "file"])
def test_nobody_leads_the_archive_elsewhere(landing: Path, tmp_path: Path, lie: str) -> None:
    files = land(landing, "a.csv", "sub/b.csv")
    if lie == "link":
        (landing / "_archive").symlink_to(tmp_path)
    else:
        (landing / "_archive").write_text("")
    assert sorted(swept(landing, "archive", files)) == ["a.csv", "sub/b.csv"]
    assert list(tmp_path.iterdir()) == []


def test_what_took_the_place_of_a_processed_file_is_left_alone(landing: Path, tmp_path: Path) -> None:
    (file,) = land(landing, "a.csv")
    (landing / "a.csv").rename(tmp_path / "mine.csv")
    (landing / "a.csv").symlink_to(tmp_path / "mine.csv")
    assert swept(landing, "archive", [file]) == swept(landing, "delete", [file]) == {}
    assert (landing / "a.csv").is_symlink() and (tmp_path / "mine.csv").exists()


def test_a_file_that_stayed_is_forgotten_when_it_is_cleaned_up_or_gone(landing: Path) -> None:
    files = land(landing, "a.csv", "b.csv", "c.csv")
    (landing / "_archive").write_text("")
    made = archive(landing, "archive")
    made.sweep(files)
    (landing / "_archive").unlink()
    (landing / "c.csv").unlink()
    made.sweep(files[:1])
    made.forget_all_but(files[:2])
    over = list[Trouble]()

    def tell(_: object, gone: Sequence[Trouble]) -> bool:
        over.extend(gone)
        return False

    made.troubles.tell(tell)
    assert [trouble.name for trouble in over] == ["a.csv", "c.csv"]


def test_refusals_are_read_once_and_then_only_new_ones(landing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`delete` asked for all refusals ever, 100,000 of them, after each micro-batch and at each idle poll."""
    refusals, given = LocalJournal(landing / ".refused.jsonl"), list[bytes]()
    made = Archive(LocalFolder(landing), "delete", refusals, [])
    made.note_refused(f"file:///in/{number}.csv" for number in range(MANY))
    more: Callable[[], Iterator[bytes]] = refusals.more

    def read() -> Iterator[bytes]:
        for line in more():
            given.append(line)
            yield line

    monkeypatch.setattr(refusals, "more", read)
    made.sweep([])
    assert given == []
    good, bad = land(landing, "good.csv", "bad.csv")
    made.sweep([good])
    assert len(given) == MANY
    made.note_refused([bad.path])
    made.sweep([bad])
    made.sweep([])
    assert len(given) == MANY + 1
    assert names_in(landing) == ["_refused/bad.csv"]
