"""A cursor in a file: what was done with a table outlives the process that did it."""

import time
from pathlib import Path

from schemas.errors import StorageError
from streamscore.following.cursor import Cursor
from streamscore.storage.folder import LocalFolder

SECONDS = 1.0  # between two writes while there is more to do: what a crash makes come again


class CursorFile:
    """The cursor of one follower; a write is whole or not there."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._folder = LocalFolder(self._path.parent)
        self._written: Cursor | None = None
        self._written_at = 0.0

    def read(self) -> Cursor | None:
        """What was written last; None where nothing was.

        Raises:
            SettingsError: the file holds something else.
            StorageError: it cannot be read.
        """
        try:
            text = self._folder.read(self._path.name)
        except OSError as error:
            raise self._unusable(error) from error
        self._written = None if text is None else Cursor.from_json(text, str(self._path))
        return self._written

    def write(self, cursor: Cursor | None, *, now: bool = False) -> None:
        """Write it, safe from a power cut, unless it is there, or the last write was a moment ago.

        Args:
            now: however long ago that was.

        Raises:
            StorageError: it cannot be written.
        """
        if cursor in (None, self._written) or not (now or time.monotonic() - self._written_at >= SECONDS):
            return
        assert cursor is not None
        try:
            self._folder.make()
            self._folder.write(self._path.name, cursor.to_json().encode(), durable=True)
        except OSError as error:
            raise self._unusable(error) from error
        self._written, self._written_at = cursor, time.monotonic()

    def _unusable(self, error: OSError) -> StorageError:
        return StorageError(f"--cursor {self._path}: {error.strerror or error}, wanted a file to write; name another")
