"""Finding new, settled files in a landing folder without listing it at every trigger.

inotify tells of a file that was closed after writing, moved in or linked. A full look at the folder finds what came
while nobody watched, or where nobody tells: all at once at the start and after an overflow, and now and then in slices
of a few milliseconds.
"""

import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from inotify_simple import flags

from schemas.dialect import ENDINGS
from schemas.errors import StorageError
from streamscore.landing.entries import HIDDEN, FoundFile, files_below, is_landed_name, why_passed_over
from streamscore.landing.inotify import CAME, CLOSED, Ears, Heard
from streamscore.landing.manifest import LandedFile, file_time, local_file
from streamscore.landing.settle import AGAIN_SECONDS, QUIET_SECONDS, Settling
from streamscore.landing.troubles import FOUND_LATE, ODD_TIME, PASSED_OVER, Troubles

SLICE_SECONDS = 0.01  # of a full look in one poll: 100,000 known files then never cost a batch more than this
SHORT_LOOK_SECONDS = 0.5  # between two full looks where the system does not tell of new files
PATIENCE_SECONDS = 1.0  # for which a full look waits where inotify tells of files all the time
PAUSE = 10  # such a look begins so many times its own time after the one before it


class FolderWatcher:
    """A landing folder of the local file system, sub-folders included.

    A file is settled when inotify said CLOSE_WRITE or MOVED_TO, and otherwise as `Settling` says. What is neither file
    nor folder, or cannot be looked into, is passed over and noted; the rest goes on.

    Raises:
        StorageError: from `look` and `poll`, when the landing folder itself is gone or cannot be looked into.
    """

    def __init__(
        self,
        folder: Path,
        full_look_seconds: float,
        troubles: Troubles | None = None,
        endings: tuple[str, ...] = ENDINGS,
    ) -> None:
        self._root, self._full_look_seconds, self._endings = str(folder), full_look_seconds, endings
        self._troubles = troubles or Troubles()
        self._noted: dict[str, set[str]] = {}  # kind → names, in the full look on its way, or in the last one
        self._ears = Ears(self._root, self._found_late)
        self._settling = Settling(folder)
        self._looking: Iterator[FoundFile | None] | None = None
        self._look_seconds = self._next_look = self._sliced = 0.0

    def look(self) -> list[LandedFile]:
        """Every settled file in the folder, known or not; waits where a second look tells whether one is settled."""
        with self._reaching():
            self._begin()
            found = self._go_on(float("inf"))
            quiet = time.monotonic() + QUIET_SECONDS + AGAIN_SECONDS
            while self._settling.next_turn < quiet:
                time.sleep(max(0.0, self._settling.next_turn - time.monotonic()))
                found += map(self._landed, self._settling.again(float("inf")))
        return found

    def poll(self, seconds: float) -> list[LandedFile]:
        """Files that settled since the last poll, or turned up in a slice of a full look.

        Waits up to `seconds` for the first; may name a file again that was named before.
        """
        until = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            due = now + SLICE_SECONDS if self._looking else min(self._next_look, self._settling.next_turn)
            heard = self._ears.read(min(until, due) - now)
            if heard is None:
                return self.look()
            with self._reaching():
                found = list(self._of_events(heard))
                if not found or now - self._sliced > PATIENCE_SECONDS:
                    found += self._slice()
            if found or time.monotonic() >= until:
                return found

    def close(self) -> None:
        """Stop watching."""
        self._ears.close()

    def _of_events(self, heard: Iterable[Heard]) -> Iterator[LandedFile]:
        closed = {(event.folder, event.name) for event in heard if event.mask & CLOSED}
        for event in heard:
            if not event.name:
                if event.folder == self._root:  # moved away, or deleted: another one may be in its place
                    self._looking, self._next_look = None, 0.0
            elif event.name.startswith(HIDDEN) or not event.mask & CAME:
                continue
            elif event.mask & flags.ISDIR:
                below = self._settled(f"{event.folder}/{event.name}")
                yield from map(self._landed, filter(None, below))
            elif event.mask & CLOSED or (event.folder, event.name) not in closed:
                yield from map(self._landed, self._of_event(event))

    def _of_event(self, event: Heard) -> Iterator[FoundFile]:
        path = f"{event.folder}/{event.name}"
        try:
            file = FoundFile(event.folder, event.name, os.lstat(path))
            if why := why_passed_over(event.name, file.status.st_mode, self._endings):
                self._pass_over(path, why)
            elif not is_landed_name(event.name, self._endings) or not stat.S_ISREG(file.status.st_mode):
                return
            elif event.mask & CLOSED:
                self._settling.forget(path)
                yield file
            elif _is_linked(file.status) and self._settling.is_settled(file, is_heard=False):
                yield file  # whoever writes it under its other name is not heard
        except OSError:  # gone again: then it is no landed file; a look tells of anything else
            return

    def _slice(self) -> list[LandedFile]:
        """What second looks, and the full look on its way, find in the next few milliseconds."""
        self._sliced = time.monotonic()
        until = self._sliced + SLICE_SECONDS
        found = [self._landed(file) for file in self._settling.again(until)]
        if self._looking is None and time.monotonic() >= self._next_look:
            self._begin()
        return found + self._go_on(until)

    def _begin(self) -> None:
        self._looking, self._look_seconds = self._settled(), 0.0
        self._noted = {kind: set() for kind in (PASSED_OVER, ODD_TIME, FOUND_LATE)}
        self._ears.begin()

    def _go_on(self, until: float) -> list[LandedFile]:
        """The full look on its way, if there is one, up to a time of the monotonic clock."""
        found, begun = list[LandedFile](), time.monotonic()
        for file in self._looking or ():
            if file:
                found.append(self._landed(file))
            if (now := time.monotonic()) > until:
                self._look_seconds += now - begun
                return found
        if self._looking is not None:
            self._end(self._look_seconds + time.monotonic() - begun)
        return found

    def _end(self, took: float) -> None:
        self._looking = None
        for kind, names in self._noted.items():
            self._troubles.only(kind, names)
        short = max(SHORT_LOOK_SECONDS, PAUSE * took) if self._ears.is_deaf else self._full_look_seconds
        self._next_look = time.monotonic() + min(short, self._full_look_seconds)

    def _settled(self, under: str | None = None) -> Iterator[FoundFile | None]:
        """The settled files; and None now and then, as `files_below` gives it."""
        for file in files_below(self._root, self._pass_over, self._ears.listen, under, self._endings):
            try:
                if file is None:
                    yield None
                elif self._settling.is_settled(file, is_heard=self._ears.hears(file.folder)):
                    yield file
            except FileNotFoundError:
                continue

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """What goes wrong with the landing folder itself is the storage's, which is tried again; a look begins anew."""
        try:
            yield
        except OSError as error:
            self._looking, self._next_look = None, 0.0
            msg = (
                f"landing folder {self._root}: {error.strerror}, wanted a folder that this user may look into; "
                f"put it back, or start with another: --landing DIR"
            )
            raise StorageError(msg) from error

    def _landed(self, file: FoundFile) -> LandedFile:
        if file_time(file.status) != file.status.st_mtime_ns:
            self._note(
                ODD_TIME, file.path, "its time is before 1900 or after 2262; it is scored, dated as near as can be"
            )
        return local_file(file.path, file.status, found=time.time_ns())

    def _pass_over(self, path: str, why: str) -> None:
        self._note(PASSED_OVER, path, why)

    def _found_late(self, folder: str, why: str) -> None:
        self._note(FOUND_LATE, folder, f"its new files are found {SHORT_LOOK_SECONDS:g} s late or later: {why}")

    def _note(self, kind: str, path: str, why: str) -> None:
        name = path[len(self._root) :].strip("/") or "."
        if self._troubles.note(kind, name, why):
            self._noted.setdefault(kind, set()).add(name)


def _is_linked(status: os.stat_result) -> bool:
    """Whether a file that has just come was there before, under another name: else its closing is awaited.

    It has that name still, or content from before.
    """
    return status.st_nlink > 1 or (status.st_size > 0 and time.time_ns() - status.st_mtime_ns > QUIET_SECONDS * 1e9)
