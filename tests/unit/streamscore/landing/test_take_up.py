"""What was cleaned up and is of no commit lands again, once; what is done stays where it is."""

import os
from pathlib import Path

import pytest

from schemas.errors import StorageError
from streamscore.landing.manifest import LandedFile
from streamscore.landing.take_up import take_up
from streamscore.storage.folder import LocalFolder
from streamscore.storage.sync import sync_folder

DONE = 1_700_000_000


def keep(landing: Path, place: str, text: str = "a\n1\n", at: int = DONE) -> Path:
    path = landing / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (at, at))
    return path


def committed(landing: Path, name: str, text: str = "a\n1\n", at: int = DONE) -> LandedFile:
    return LandedFile((landing / name).as_uri(), len(text), at * 1_000_000_000)


def there(landing: Path) -> list[str]:
    return sorted(str(path.relative_to(landing)) for path in landing.rglob("*") if path.is_file())


def test_only_what_no_commit_names_lands_again(tmp_path: Path) -> None:
    for place in ("_archive/done.csv", "_archive/lost.csv", "_archive/sub/LOST.CSV.GZ", "_refused/bad.csv"):
        keep(tmp_path, place)
    taken = take_up(LocalFolder(tmp_path), [committed(tmp_path, "done.csv"), committed(tmp_path, "sub/done.csv")])
    assert sorted(taken.landed) == ["bad.csv", "lost.csv", "sub/LOST.CSV.GZ"]
    assert there(tmp_path) == ["_archive/done.csv", "bad.csv", "lost.csv", "sub/LOST.CSV.GZ"]
    assert (tmp_path / "lost.csv").stat().st_mtime == DONE
    assert str(taken).startswith("3 files (bad.csv, lost.csv, sub/LOST.CSV.GZ) that no commit names landed again")
    assert not any(take_up(LocalFolder(tmp_path), [committed(tmp_path, "done.csv")]))


def test_another_content_of_a_path_that_is_done_lands_again(tmp_path: Path) -> None:
    keep(tmp_path, "_archive/a.csv")
    keep(tmp_path, "_archive/a.csv.again", "a\n22\n")
    keep(tmp_path, "_archive/a.csv.again.again", at=DONE + 1)
    done = [committed(tmp_path, "a.csv"), committed(tmp_path, "a.csv", at=DONE + 1)]
    assert take_up(LocalFolder(tmp_path), done).landed == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "a\n22\n"
    assert there(tmp_path) == ["_archive/a.csv", "_archive/a.csv.again.again", "a.csv"]


def test_a_name_that_is_taken_stays_and_is_said(tmp_path: Path) -> None:
    keep(tmp_path, "_archive/a.csv")
    keep(tmp_path, "a.csv", "new")
    taken = take_up(LocalFolder(tmp_path), [])
    assert (taken.landed, taken.left) == ([], ["a.csv"])
    assert there(tmp_path) == ["_archive/a.csv", "a.csv"] and (tmp_path / "a.csv").read_text() == "new"
    assert "1 files (a.csv) stayed there, because the name is taken" in str(taken)


def test_what_never_was_a_landed_file_stays(tmp_path: Path) -> None:
    keep(tmp_path, "_archive/notes.txt")
    (tmp_path / "_archive" / "folder.csv").mkdir()
    (tmp_path / "_refused").mkdir()
    os.mkfifo(tmp_path / "_refused" / "pipe.csv")
    assert not any(take_up(LocalFolder(tmp_path), []))
    assert there(tmp_path) == ["_archive/notes.txt"]


def test_no_link_leads_out_of_the_landing_folder(tmp_path: Path) -> None:
    landing, elsewhere = tmp_path / "landing", tmp_path / "elsewhere"
    keep(elsewhere, "secret.csv")
    keep(landing, "_archive/sub/a.csv")
    (landing / "_refused").symlink_to(elsewhere)
    (landing / "sub").symlink_to(elsewhere)
    assert take_up(LocalFolder(landing), []) == ([], ["sub/a.csv"])
    assert there(landing) == ["_archive/sub/a.csv"] and there(elsewhere) == ["secret.csv"]


def test_its_folders_are_synced_after_the_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = dict[str, list[str]]()

    def sync(path: Path) -> None:
        synced[str(path.relative_to(tmp_path))] = sorted(found.name for found in path.iterdir())
        sync_folder(path)

    keep(tmp_path, "_archive/sub/a.csv")
    monkeypatch.setattr("streamscore.landing.take_up.sync_folder", sync)
    take_up(LocalFolder(tmp_path), [])
    assert synced == {"sub": ["a.csv"], "_archive/sub": []}


def test_a_folder_that_cannot_be_moved_to_is_named(tmp_path: Path) -> None:
    keep(tmp_path, "_archive/sub/a.csv")
    keep(tmp_path, "sub", "a file where the folder was")
    with pytest.raises(StorageError, match=r"sub.* cannot be landed again: .*; check its rights"):
        take_up(LocalFolder(tmp_path), [])
