"""Whether a file that was found by looking is complete: nobody has it open for writing, or it stays as it is."""

import errno
import fcntl
import os
import signal
import stat
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from streamscore.landing.entries import HIDDEN, FoundFile

AGAIN_SECONDS = 0.1  # between two looks at a file of which nothing tells that it is complete
QUIET_SECONDS = 1.0  # for which such a file stays as it is, unless it is older than that already


class _Unsettled(NamedTuple):
    file: FoundFile
    since: float
    is_heard: bool

    @property
    def content(self) -> tuple[int, int]:
        return self.file.status.st_size, self.file.status.st_mtime_ns


class Settling:
    """The files that are not complete yet, as far as anybody knows.

    A file is settled when a read lease on it is granted, which means that nobody has it open for writing; or, where
    leases are not to be had, as for files of other users, when it stayed as it is for a while.
    """

    def __init__(self, folder: Path) -> None:
        self._leases = _leases_work(folder)
        self._waiting: dict[str, _Unsettled] = {}
        self._turns: deque[tuple[float, str]] = deque()  # when to look again, and at what
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # a writer that opens a file while we hold its lease sends it

    def is_settled(self, file: FoundFile, *, is_heard: bool) -> bool:
        """Whether a file is complete; if not, it is looked at again, or, where that is heard, its closing is awaited.

        Raises:
            FileNotFoundError: it is gone.
        """
        path = file.path
        leased = lease(path) if self._leases else None
        if leased or (leased is False and is_heard):
            self._waiting.pop(path, None)
            return leased
        now, known = time.monotonic(), self._waiting.get(path)
        unsettled = _Unsettled(file, now, is_heard)
        if known is None or known.content != unsettled.content:
            self._waiting[path] = unsettled
            if known is None:
                self._turns.append((now + AGAIN_SECONDS, path))
            return False
        if leased is None and now - known.since >= _patience(file.status):
            del self._waiting[path]
            return True
        return False

    def forget(self, path: str) -> None:
        """It is complete, or gone."""
        self._waiting.pop(path, None)

    def again(self, until: float) -> Iterator[FoundFile]:
        """Look again at the files whose turn it is; those that are complete. Ends at a time of the monotonic clock."""
        begun = time.monotonic()
        while self._turns and self._turns[0][0] <= begun and time.monotonic() < until:
            _, path = self._turns.popleft()
            if (known := self._waiting.get(path)) is None:
                continue
            try:
                file = known.file._replace(status=os.lstat(path))
                if not stat.S_ISREG(file.status.st_mode):
                    del self._waiting[path]
                elif self.is_settled(file, is_heard=known.is_heard):
                    yield file
                elif path in self._waiting:
                    self._turns.append((time.monotonic() + AGAIN_SECONDS, path))
            except OSError:  # gone, or its folder is; a look tells of anything else
                self._waiting.pop(path, None)

    @property
    def next_turn(self) -> float:
        """When to look again, by the monotonic clock."""
        return self._turns[0][0] if self._turns else float("inf")


def lease(path: str) -> bool | None:
    """Whether nobody has the file open for writing; None where the file system or the owner does not let us know.

    Raises:
        FileNotFoundError: it is gone.
    """
    try:
        # neither waits for whoever is at the other end of a FIFO, nor follows a link that took the file's place
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
    except BlockingIOError:
        return False  # somebody holds a lease for writing
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        return None  # unreadable for us: reading it says so
    try:
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return True
    except AttributeError:
        return None
    except OSError as error:
        return False if error.errno == errno.EAGAIN else None
    finally:
        os.close(handle)


def _leases_work(folder: Path) -> bool:
    """Whether a lease is granted on a file that surely nobody writes: some file systems always say no."""
    try:
        handle, path = tempfile.mkstemp(dir=folder, prefix=HIDDEN[0])
    except OSError:  # a landing folder that we may only read
        return False
    os.close(handle)
    try:
        return bool(lease(path))
    finally:
        os.unlink(path)


def _patience(status: os.stat_result) -> float:
    """For how many seconds a file has to stay as it is."""
    is_old = time.time_ns() - status.st_mtime_ns > QUIET_SECONDS * 1e9
    return AGAIN_SECONDS if is_old else QUIET_SECONDS
