"""A journal: durable lines, one after the other, in a file or, where nothing can be appended to, in objects."""

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from schemas.errors import ConflictError, StorageError
from streamscore.storage.sync import sync_folder

if TYPE_CHECKING:
    from streamscore.storage.folder import Folder

FOLD = 256  # objects that become one when a journal is read: a line is an object of its own
WORKERS = 16


class Journal(Protocol):
    """Lines without a line end; one process appends, others may read."""

    def lines(self) -> Iterator[bytes]:
        """All lines, oldest first; one that a crash tore is not among them."""

    def more(self) -> Iterator[bytes]:
        """The lines since this object was last asked for more; the first time all. Of a journal that nobody cuts."""

    def append(self, *lines: bytes) -> None:
        """Make lines durable.

        Raises:
            ConflictError: another process appended since this one read them.
        """

    def cut(self, keep: int) -> None:
        """Forget all lines but the first so many."""


class LocalJournal:
    """A file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_whole = False
        self._told = 0  # bytes of the lines that `more` gave

    def lines(self) -> Iterator[bytes]:
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line[:-1]

    def more(self) -> Iterator[bytes]:
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._told)
            for line in file:
                if line.endswith(b"\n"):
                    self._told += len(line)
                    yield line[:-1]

    def append(self, *lines: bytes) -> None:
        try:
            if not self._is_whole:
                self.cut(sum(1 for _ in self.lines()))
            with self._path.open("ab") as file:
                self._is_whole, is_new = False, file.tell() == 0
                file.write(b"".join(line + b"\n" for line in lines))
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                sync_folder(self._path.parent)
            self._is_whole = True
        except OSError as error:
            msg = f"cannot write {self._path}: {error.strerror}; look: streamscore doctor"
            raise StorageError(msg) from error

    def cut(self, keep: int) -> None:
        with contextlib.suppress(FileNotFoundError), self._path.open("rb+") as file:
            file.truncate(sum(len(file.readline()) for _ in range(keep)))
        self._is_whole = True


class BucketJournal:
    """An object for each `append`, named by the number of its first line; `0-<count>` holds all lines up to a number.

    The longest of the latter counts, and what is named by a number from there on.
    """

    def __init__(self, folder: "Folder") -> None:
        self._folder = folder
        self._count: int | None = None  # of lines, once they were read
        self._objects = 0
        self._unsure: bytes | None = None  # what the last append wrote, if it failed
        self._known: dict[str, list[bytes]] = {}
        self._told = 0  # lines that `more` gave

    def lines(self) -> Iterator[bytes]:
        pieces = self._read()
        lines = [line for piece in pieces for line in self._known[piece]]
        self._count, self._objects = len(lines), len(pieces)
        yield from lines

    def more(self) -> Iterator[bytes]:
        lines = list(self.lines())
        new, self._told = lines[self._told :], len(lines)
        yield from new

    def append(self, *lines: bytes) -> None:
        if self._count is None or self._objects >= FOLD:
            self._fold()
        name, data = _name(self._count or 0), b"\n".join(lines)
        unsure, self._unsure = self._unsure, data
        is_new = self._folder.create(name, data)
        if not is_new and (unsure is None or self._folder.read(name) != unsure):
            msg = f"{self._folder.uri}/{name} is of another driver; stop one of them"
            raise ConflictError(msg)
        self._unsure = None
        self._count = (self._count or 0) + (data if is_new else unsure or b"").count(b"\n") + 1
        self._objects += 1
        if not is_new:  # an append that failed was in, only its answer was lost; and now what comes after it
            self.append(*lines)

    def cut(self, keep: int) -> None:
        """Forget all lines but the first so many; a crash in between leaves too many, never too few nor a gap.

        1. The appended ones away, last first.  2. What stays, as one object.  3. The others away, the longest first.
        """
        lines = list(self.lines())[:keep]
        appended = sorted(name for name in self._folder.names() if "-" not in name)
        for name in reversed(appended):  # 1
            if int(name) >= keep:
                self._folder.delete(name)
        if lines:
            self._put_folded(lines)  # 2
        for name in sorted(self._folder.names(), reverse=True):  # 3
            if name != _name(0, len(lines)):
                self._folder.delete(name)
        self._count, self._known = len(lines), {}

    def _fold(self) -> None:
        """Make the objects one, where they are many; who reads meanwhile reads again."""
        lines, pieces = list(self.lines()), list(self._known)
        if len(pieces) >= FOLD:
            self._put_folded(lines)
            self._folder.delete_all(name for name in pieces if name != _name(0, len(lines)))
            self._objects = 1

    def _read(self) -> list[str]:
        """The names of the objects that count, in order; their lines are known then."""
        while True:
            pieces = self._pieces()
            self._known = {piece: self._known[piece] for piece in pieces if piece in self._known}
            new = [piece for piece in pieces if piece not in self._known]
            with ThreadPoolExecutor(WORKERS) as readers:
                contents = list(readers.map(self._folder.read, new))
            found = [(name, data) for name, data in zip(new, contents, strict=True) if data is not None]
            self._known |= {name: data.split(b"\n") for name, data in found}
            if len(found) == len(new):  # else whoever appends has just folded them
                return pieces

    def _pieces(self) -> list[str]:
        names = sorted(self._folder.names())
        folded = max((name for name in names if "-" in name), default="")
        count = int(folded.partition("-")[2] or 0)
        return [folded] * bool(folded) + [name for name in names if "-" not in name and int(name) >= count]

    def _put_folded(self, lines: list[bytes]) -> None:
        self._folder.write(_name(0, len(lines)), b"\n".join(lines))


def _name(first: int, count: int | None = None) -> str:
    return f"{first:020}" if count is None else f"{first:020}-{count:020}"
