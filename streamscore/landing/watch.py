"""Finding new, settled files in a landing folder without listing it at every trigger.

inotify tells of a file that was closed after writing or moved in. A full look at the folder finds what came while
nobody watched: all at once at the start and after an overflow, and now and then in slices of a few milliseconds.
"""

import contextlib
import errno
import fcntl
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from inotify_simple import INotify, flags

from streamscore.landing.manifest import LandedFile

ENDINGS = (".csv", ".csv.gz")
HIDDEN = (".", "_")  # a name that starts so is never landed: temporary files, the archive
SLICE_SECONDS = 0.01  # of a full look in one poll: 100,000 known files then never cost a batch more than this
AGAIN_SECONDS = 0.1  # between two looks at a file of which nothing tells that it is complete

_WATCHED = flags.CLOSE_WRITE | flags.MOVED_TO | flags.CREATE | flags.ONLYDIR


class FolderWatcher:
    """A landing folder of the local file system, sub-folders included.

    A file is settled when inotify said CLOSE_WRITE or MOVED_TO, when nobody has it open for writing (a read lease is
    granted), or, where leases are not to be had, when two looks found it unchanged.
    """

    def __init__(self, folder: Path, full_look_seconds: float) -> None:
        self._folder = folder
        self._watched: dict[int, str] = {}
        self._unsettled: dict[str, tuple[int, int]] = {}
        self._looking: Iterator[LandedFile] | None = None
        self._inotify = _inotify()
        self._leases = _leases_work(folder)
        self._full_look_seconds = full_look_seconds if self._inotify else AGAIN_SECONDS
        self._next_look = 0.0
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # a writer that opens a file while we hold its lease sends it

    def look(self) -> list[LandedFile]:
        """Every settled file in the folder, known or not; waits for the second look where one is needed."""
        found = list(self._look())
        if self._unsettled:
            time.sleep(AGAIN_SECONDS)
            found += self._look()
        self._looking, self._next_look = None, time.monotonic() + self._full_look_seconds
        return found

    def poll(self, seconds: float) -> list[LandedFile]:
        """Files that settled since the last poll, or turned up in a slice of a full look.

        Waits up to `seconds` for the first; may name a file again that was named before.
        """
        if self._inotify is None:
            time.sleep(seconds)
            return self._slice()
        # a full look on its way goes on after a short wait, not a long one
        wait = 0.001 if self._looking or self._unsettled else seconds
        events = list(self._inotify.read(timeout=int(wait * 1000)))
        if any(event.mask & flags.Q_OVERFLOW for event in events):
            return self.look()
        found = [file for event in events for file in self._of_event(event.wd, event.mask, event.name)]
        return found or self._slice()

    def close(self) -> None:
        """Stop watching."""
        if self._inotify:
            self._inotify.close()

    def _of_event(self, wd: int, mask: int, name: str) -> Iterator[LandedFile]:
        folder = self._watched.get(wd)
        if folder is None or name.startswith(HIDDEN):
            return
        path = os.path.join(folder, name)
        if mask & flags.ISDIR:
            if mask & (flags.CREATE | flags.MOVED_TO):
                yield from self._look(path)
        elif mask & (flags.CLOSE_WRITE | flags.MOVED_TO) and name.lower().endswith(ENDINGS):
            with contextlib.suppress(FileNotFoundError):  # gone again: then it is no landed file
                self._unsettled.pop(path, None)
                yield _landed(path, os.stat(path))

    def _slice(self) -> list[LandedFile]:
        """What the full look on its way finds in the next few milliseconds."""
        now = time.monotonic()
        if self._looking is None:
            if now < self._next_look:
                return []
            self._looking = self._look()
        found = []
        for file in self._looking:
            found.append(file)
            if time.monotonic() - now > SLICE_SECONDS:
                return found
        self._looking = None
        self._next_look = time.monotonic() + (AGAIN_SECONDS if self._unsettled else self._full_look_seconds)
        return found

    def _look(self, folder: str | None = None) -> Iterator[LandedFile]:
        folder = folder or str(self._folder)
        if self._inotify:  # watch first, list then: what comes in between is told twice rather than never
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self._watched[self._inotify.add_watch(folder, _WATCHED)] = folder
        try:
            entries = os.scandir(folder)
        except FileNotFoundError:
            if folder == str(self._folder):
                raise
            return
        with entries:
            for entry in entries:
                if entry.name.startswith(HIDDEN):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    if entry.is_dir():
                        yield from self._look(entry.path)
                    elif entry.name.lower().endswith(ENDINGS):
                        status = entry.stat()
                        if self._is_settled(entry.path, (status.st_size, status.st_mtime_ns)):
                            yield _landed(entry.path, status)

    def _is_settled(self, path: str, content: tuple[int, int]) -> bool:
        leased = _lease(path) if self._leases else None
        if leased is None:
            settled = self._unsettled.get(path) == content
            self._unsettled[path] = content
            if settled:
                del self._unsettled[path]
            return settled
        if not leased and self._inotify is None:
            self._unsettled[path] = content  # nobody will tell of its closing: look again soon
        return leased


def _inotify() -> INotify | None:
    try:
        return INotify()
    except (AttributeError, OSError):  # not Linux, or no instance left: full looks alone
        return None


def _leases_work(folder: Path) -> bool:
    """Whether a lease is granted on a file that surely nobody writes: some file systems always say no."""
    try:
        handle, path = tempfile.mkstemp(dir=folder, prefix=HIDDEN[0])
    except OSError:  # a landing folder that we may only read
        return False
    os.close(handle)
    try:
        return bool(_lease(path))
    finally:
        os.unlink(path)


def _lease(path: str) -> bool | None:
    """Whether nobody has the file open for writing; None where the file system or the owner does not let us know."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except PermissionError:
        return True  # unreadable for us: reading it says so
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


def _landed(path: str, status: os.stat_result) -> LandedFile:
    return LandedFile(Path(path).as_uri(), status.st_size, status.st_mtime_ns, found=time.time_ns())
