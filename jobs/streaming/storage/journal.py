"""A journal: durable lines, one after the other, in a file or, where nothing can be appended to, in objects."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from jobs.streaming.storage.bucket import BucketFolder
from jobs.streaming.storage.folder import Folder, LocalFolder
from schemas.errors import ConflictError, StorageError

FOLD = 256  # objects that become one when a journal is read: a line is an object of its own
READERS = 16


class Journal(Protocol):
    """Lines without a line end; one process appends, others may read."""

    def lines(self) -> Iterator[bytes]:
        """All lines, oldest first; one that a crash tore is not among them."""

    def append(self, *lines: bytes) -> None:
        """Make lines durable.

        Raises:
            ConflictError: another process appended since this one read them.
        """

    def cut(self, keep: int) -> None:
        """Forget all lines but the first so many."""


def open_journal(folder: Folder, name: str) -> Journal:
    """`<name>.jsonl` in a local folder, `<name>/…` in an object store."""
    if isinstance(folder, BucketFolder):
        return BucketJournal(folder.at(name))
    assert isinstance(folder, LocalFolder)
    return LocalJournal(folder.path / f"{name}.jsonl")


class LocalJournal:
    """A file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_whole = False

    def lines(self) -> Iterator[bytes]:
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line[:-1]

    def append(self, *lines: bytes) -> None:
        try:
            if not self._is_whole:
                self.cut(sum(1 for _ in self.lines()))
            with self._path.open("ab") as file:
                self._is_whole = False
                file.write(b"".join(line + b"\n" for line in lines))
                file.flush()
                os.fsync(file.fileno())
            self._is_whole = True
        except OSError as error:
            raise StorageError(f"cannot write {self._path}: {error.strerror}; look: streamscore doctor") from error

    def cut(self, keep: int) -> None:
        with contextlib.suppress(FileNotFoundError), self._path.open("rb+") as file:
            file.truncate(sum(len(file.readline()) for _ in range(keep)))
        self._is_whole = True


class BucketJournal:
    """Objects named `<number of the first line>-<number of lines>`; where two overlap, the longer one counts."""

    def __init__(self, folder: BucketFolder) -> None:
        self._folder = folder
        self._count: int | None = None  # of lines, once they were read
        self._known: dict[tuple[int, int], list[bytes]] = {}

    def lines(self) -> Iterator[bytes]:
        pieces = self._pieces()
        new = [piece for piece in pieces if piece not in self._known]
        self._known |= dict(zip(new, self._read(new), strict=True))
        lines = [line for piece in pieces for line in self._known[piece]]
        self._count = len(lines)
        if len(pieces) >= FOLD:
            self._folder.write(_name(0, len(lines)), b"\n".join(lines))
            self._delete(_name(*piece) for piece in pieces)
        yield from lines

    def append(self, *lines: bytes) -> None:
        if self._count is None:
            list(self.lines())
        name = _name(self._count or 0, len(lines))
        if not self._folder.create(name, b"\n".join(lines)):
            raise ConflictError(f"{self._folder.uri}/{name} is of another driver; stop one of them")
        self._count = (self._count or 0) + len(lines)

    def cut(self, keep: int) -> None:
        """First a piece that ends there, then the others away: a crash in between leaves too many, never too few."""
        for first, count in self._pieces():
            if first < keep < first + count:
                (lines,) = self._read([(first, count)])
                self._folder.write(_name(first, keep - first), b"\n".join(lines[: keep - first]))
        self._delete(_name(first, count) for first, count in self._objects() if first + count > keep)
        self._count, self._known = keep, {}

    def _objects(self) -> list[tuple[int, int]]:
        named = [name.split("-") for name in self._folder.names()]
        return [(int(first), int(count)) for first, count in named]

    def _pieces(self) -> list[tuple[int, int]]:
        pieces, end = [], 0
        for first, count in sorted(self._objects(), key=lambda piece: (piece[0], -piece[1])):
            if first >= end:  # else it lies in a longer one, which was made of it
                pieces.append((first, count))
                end = first + count
        return pieces

    def _read(self, pieces: list[tuple[int, int]]) -> Iterator[list[bytes]]:
        with ThreadPoolExecutor(READERS) as readers:
            for content in readers.map(lambda piece: self._folder.read(_name(*piece)), pieces):
                yield (content or b"").split(b"\n")

    def _delete(self, names: Iterable[str]) -> None:
        with ThreadPoolExecutor(READERS) as deleters:
            list(deleters.map(self._folder.delete, names))


def _name(first: int, count: int) -> str:
    return f"{first:020}-{count}"
