"""Opening a landed file: only the file that was found, never what took its place."""

import fcntl
import os
import signal
from pathlib import Path

import pytest

from schemas.reasons import Reason
from streamscore.landing.manifest import LandedFile, local_file
from streamscore.reading.landed import LandedText
from streamscore.reading.rejects import BadFileError
from tests.support.nobody import as_nobody, folder_for_nobody


def landed(path: Path, text: str = "a\n1\n") -> LandedFile:
    path.write_text(text)
    return local_file(str(path), path.stat())


def reason(file: LandedFile) -> tuple[Reason, str]:
    """Why it is refused."""
    with pytest.raises(BadFileError) as refused, LandedText(file, "utf-8") as text:
        text.read(100)
    return refused.value.refusal.reason, refused.value.refusal.detail


def test_a_link_that_took_a_files_place_discloses_nothing(tmp_path: Path) -> None:
    """Not even one to a file of the same size and time."""
    file = landed(tmp_path / "a.csv")
    (tmp_path / "a.csv").rename(tmp_path / "secret")
    (tmp_path / "a.csv").symlink_to("secret")
    assert reason(file)[0] == Reason.UNREADABLE


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_what_took_a_files_place_is_no_file_and_makes_nobody_wait(tmp_path: Path, kind: str) -> None:
    file = landed(tmp_path / "a.csv")
    (tmp_path / "a.csv").unlink()
    os.mkfifo(tmp_path / "a.csv") if kind == "fifo" else (tmp_path / "a.csv").mkdir()
    assert reason(file)[0] == Reason.UNREADABLE


def test_a_file_that_may_not_be_read_is_refused() -> None:
    with folder_for_nobody() as folder:
        file = landed(folder / "a.csv")
        os.chmod(folder / "a.csv", 0)
        assert as_nobody(lambda: reason(file)) == (
            Reason.UNREADABLE,
            "found 'Permission denied', wanted a file that may be read",
        )


def test_a_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    assert reason(LandedFile(f"file://{tmp_path}/{'x' * 300}.csv", 1, 1))[0] == Reason.UNREADABLE
    (tmp_path / "file").write_text("")
    assert reason(LandedFile(f"file://{tmp_path}/file/a.csv", 1, 1))[0] == Reason.FILE_MISSING


def test_a_file_of_an_odd_time_is_the_one_that_was_found(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    os.utime(path, ns=(0, -3 * 10**18))  # in 1874, or as near as this file system can
    with LandedText(local_file(str(path), path.stat()), "utf-8") as text:
        assert text.read(100) == b"a\n1\n"


def test_a_file_whose_owner_holds_a_lease_on_it_makes_nobody_wait_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamscore.reading.landed.LEASE_SECONDS", 0.1)
    file = landed(tmp_path / "a.csv")
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # the system asks for the lease by it
    try:
        with (tmp_path / "a.csv").open("r+") as held:
            fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            assert reason(file)[0] == Reason.UNREADABLE
        with LandedText(file, "utf-8") as text:
            assert text.read(100) == b"a\n1\n"
    finally:
        signal.signal(signal.SIGIO, before)
