"""Names and file systems are synced, whatever the system's call for it."""

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from streamscore.storage import folder, sync
from streamscore.storage.folder import LocalFolder


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders whose names were synced."""
    folders: list[str] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        path = os.readlink(f"/proc/self/fd/{handle}")
        if os.path.isdir(path):
            folders.append(path)
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    return folders


def test_a_durable_write_syncs_its_folder_and_another_does_not(tmp_path: Path, synced: list[str]) -> None:
    LocalFolder(tmp_path).write("a", b"1")
    assert synced == []
    LocalFolder(tmp_path).write("a", b"2", durable=True)
    assert synced == [str(tmp_path)]


def test_a_journal_syncs_its_folder_when_it_is_made_and_never_again(tmp_path: Path, synced: list[str]) -> None:
    journal = LocalFolder(tmp_path).open_journal("j")
    for line in (b"1", b"2"):
        journal.append(line)
    assert synced == [str(tmp_path)]
    LocalFolder(tmp_path).open_journal("j").append(b"3")
    assert synced == [str(tmp_path)]


def test_each_folder_that_is_made_is_synced_in_the_one_above(tmp_path: Path, synced: list[str]) -> None:
    for _ in range(2):
        LocalFolder(tmp_path / "a" / "b").make()
    assert sorted(synced) == [str(tmp_path), str(tmp_path / "a")]


def test_a_checkpoint_that_is_set_aside_stays_there(tmp_path: Path, synced: list[str]) -> None:
    folder = LocalFolder(tmp_path / "checkpoint")
    folder.make()
    for name in ("a", "b"):
        folder.write(name, b"")
    synced.clear()
    assert folder.set_aside(str(tmp_path / "old"), "a")
    assert synced == [str(tmp_path)]


def test_a_file_system_is_synced_by_its_own_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sync", lambda: pytest.fail("every file system was synced"))
    LocalFolder(tmp_path).sync()
    with pytest.raises(FileNotFoundError):
        LocalFolder(tmp_path / "gone").sync()


@pytest.mark.parametrize("call", [None, lambda _: -1])
def test_where_that_call_is_not_to_be_had_all_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Any) -> None:
    all_synced: list[int] = []
    monkeypatch.setattr(sync, "_sync_call", lambda: call)
    monkeypatch.setattr("ctypes.get_errno", lambda: 38)  # ENOSYS
    monkeypatch.setattr(os, "sync", lambda: all_synced.append(1))
    LocalFolder(tmp_path).sync()
    assert all_synced == [1]


def test_a_disk_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "_sync_call", lambda: lambda _: -1)
    monkeypatch.setattr("ctypes.get_errno", lambda: 5)
    with pytest.raises(OSError, match="Input/output error"):
        LocalFolder(tmp_path).sync()


def test_on_macos_a_volume_is_synced_through_the_cache_of_its_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def fsync_volume(handle: int, flags: int) -> int:
        asked.append((handle, flags))
        return 0

    library = SimpleNamespace(fsync_volume_np=fsync_volume)
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: library)
    call = sync._sync_call.__wrapped__()
    assert call is not None and call(7) == 0 and asked == [(7, 3)]
    del library.fsync_volume_np
    assert sync._sync_call.__wrapped__() is None


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no second file system that anybody may write")
def test_the_file_system_of_a_table_that_lies_elsewhere_is_synced_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = list[int]()
    monkeypatch.setattr(folder, "sync_file_system", lambda path: synced.append(os.stat(path).st_dev))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        (tmp_path / "quarantine").mkdir()
        (tmp_path / "predictions").symlink_to(elsewhere)
        LocalFolder(tmp_path).sync()
        assert sorted(synced) == sorted({os.stat(tmp_path).st_dev, os.stat(elsewhere).st_dev})
