"""Files that were cleaned up although no commit names them are landed again: for `--recover`.

Tables that were restored from an older copy leave such files, or a disk that lost what it had synced.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from schemas.dialect import ENDINGS
from schemas.errors import StorageError
from streamscore.landing.archive import ARCHIVE, REFUSED
from streamscore.landing.manifest import LandedFile, local_file
from streamscore.landing.objects import landed_object
from streamscore.storage.bucket import BucketFolder
from streamscore.storage.folder import Folder
from streamscore.storage.object_store import reaching
from streamscore.storage.sync import make_folder, sync_folder

NAMED = 10  # names in a message


class TakenUp(NamedTuple):
    """Names relative to the landing folder.

    Attributes:
        landed: as they lie there again.
        left: still in `_archive/` or `_refused/`, because the landing folder has a file of that name.
    """

    landed: list[str]
    left: list[str]

    def __str__(self) -> str:
        said = f"{_count(self.landed)} that no commit names landed again from {ARCHIVE}/ and {REFUSED}/"
        if self.left:
            said += f"; {_count(self.left)} stayed there, because the name is taken: land them under other names"
        return said


def take_up(landing: Folder, done: Iterable[LandedFile], endings: tuple[str, ...] = ENDINGS) -> TakenUp:
    """Move cleaned-up files back to where they landed, but those that a commit names: by path, size and time or etag.

    The moves are safe from a power cut on return; after a crash in between, the same call goes on.

    Raises:
        StorageError: a file cannot be moved.
    """
    kept, taken = kept_files(landing), TakenUp([], [])
    by_path: dict[str, list[LandedFile]] = {}
    for file in done:
        by_path.setdefault(file.path, []).append(file)
    try:
        for place, name, file in kept.all():
            is_landed = name.lower().endswith(endings)
            if is_landed and not any(_is_same(file, other) for other in by_path.get(file.path, ())):
                (taken.landed if kept.put_back(place, name) else taken.left).append(name)
        kept.settle()
    except OSError as error:
        msg = f"{error.filename or landing.uri} cannot be landed again: {error.strerror or error}; check its rights"
        raise StorageError(msg) from error
    return taken


def _is_same(file: LandedFile, other: LandedFile) -> bool:
    """Whether two files of one path have one content; an object that was put in several parts gets another etag."""
    if "-" in file.etag + other.etag:
        return file.size == other.size
    return file.content == other.content


class KeptFiles(Protocol):
    """The cleaned-up files of a landing folder."""

    def all(self) -> Iterator[tuple[str, str, LandedFile]]:
        """Of each: where it is, what it was called in the landing folder, and the file that it was."""

    def put_back(self, place: str, name: str) -> bool:
        """Land one again, unless the name is taken."""

    def settle(self) -> None:
        """Make durable what was landed again."""


def kept_files(landing: Folder) -> KeptFiles:
    """The cleaned-up files of a landing folder, of whichever kind."""
    return landing.by_kind(local=lambda folder: FolderKept(folder.path), bucket=lambda folder: BucketKept(folder))


class FolderKept:
    """Of a local folder; a file keeps its time when it is moved."""

    def __init__(self, landing: Path) -> None:
        self._landing = landing
        self._left, self._entered = set[Path](), set[Path]()

    def all(self) -> Iterator[tuple[str, str, LandedFile]]:
        for folder in (ARCHIVE, REFUSED):
            if (self._landing / folder).is_symlink():  # whoever writes in the landing folder must not lead us out of it
                continue
            for above, _, names in os.walk(self._landing / folder):
                for path in (Path(above, name) for name in names):
                    name, status = _name(os.path.relpath(path, self._landing)), path.lstat()
                    if stat.S_ISREG(status.st_mode):
                        yield str(path), name, local_file(str(self._landing / name), status)

    def put_back(self, place: str, name: str) -> bool:
        source, target = Path(place), self._landing / name
        above = (self._landing / part for part in Path(name).parents)
        if os.path.lexists(target) or any(folder.is_symlink() for folder in above if folder != self._landing):
            return False
        make_folder(target.parent)
        source.rename(target)
        self._left.add(source.parent)
        self._entered.add(target.parent)
        return True

    def settle(self) -> None:
        for place in (*self._entered, *self._left):
            sync_folder(place)


class BucketKept:
    """Of a prefix in an object store."""

    def __init__(self, landing: BucketFolder) -> None:
        self._landing = landing

    def all(self) -> Iterator[tuple[str, str, LandedFile]]:
        landing, start = self._landing, len(self._landing.key(""))
        with reaching(landing.storage, f"cannot list {landing.uri}") as client:
            pages = client.get_paginator("list_objects_v2")
            for folder in (ARCHIVE, REFUSED):
                for page in pages.paginate(Bucket=landing.bucket, Prefix=landing.key(f"{folder}/")):
                    for entry in page.get("Contents", ()):
                        place = entry["Key"][start:]
                        name = _name(place)
                        yield place, name, landed_object(landing.bucket, landing.key(name), entry["Size"], entry)

    def put_back(self, place: str, name: str) -> bool:
        if self._landing.head(name) is not None:
            return False
        self._landing.move(place, self._landing.key(name))
        return True

    def settle(self) -> None:
        """Nothing: an answered request is durable."""


def _name(place: str) -> str:
    """What a file in `_archive/` or `_refused/` was called when it landed."""
    name = place.partition("/")[2]
    while name.endswith(".again"):
        name = name.removesuffix(".again")
    return name


def _count(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{len(names)} files ({', '.join(sorted(names)[:NAMED])}{more})"
