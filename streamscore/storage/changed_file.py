"""Whether a file that somebody edits is to be read again."""

import os
import time
from pathlib import Path

SETTLED_SECONDS = 2.0  # after a change a file's time says that it is the same file; before, the clock was too coarse


class ChangedFile:
    """A file on this machine that may change at any time.

    Half a file may be a whole one, too: of a file that changes, only what is the same in two looks is to be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._looked: tuple[int, int, int] | None = None  # how it was when it was last looked at
        self._seen: tuple[int, int, int] | None = None  # and when it was read

    def look(self) -> bool:
        """Whether it has changed since it was read, and not since the last look.

        Raises:
            OSError: it is not there, or out of reach.
        """
        found = os.stat(self.path)
        before, self._looked = self._looked, (found.st_ino, found.st_mtime_ns, found.st_size)
        is_old = time.time() - found.st_mtime > SETTLED_SECONDS
        return self._looked == before and not (self._looked == self._seen and is_old)

    def seen(self) -> None:
        """It was read as it was at the last look."""
        self._seen = self._looked
