"""A folder of small files: read, write, put-if-absent, list, delete; and what else depends on its kind."""

import contextlib
import os
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from streamscore.storage.journal import Journal, LocalJournal
from streamscore.storage.sync import make_folder, sync_file_system, sync_folder

if TYPE_CHECKING:  # each Python worker of Spark imports this; `lease` imports structlog, which takes 0.2 s
    from pyarrow.fs import FileSystem

    from streamscore.storage.bucket import BucketFolder
    from streamscore.storage.lease import Lease

L = TypeVar("L")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as its folder lists it: its name there, bytes, and when it was written, in seconds since 1970."""

    name: str
    size: int
    modified: float


class Folder(Protocol):
    """A folder, and what lies below it; names are relative, with `/`.

    Raises:
        OSError: from every method of a local folder.
        StorageError: from every method of one in an object store.
    """

    uri: str  # an absolute path, or s3://bucket/prefix
    is_remote: ClassVar[bool]  # each call is a request, which takes milliseconds

    def at(self, name: str) -> "Folder":
        """A folder in this one."""

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is none."""

    def write(self, name: str, data: bytes | memoryview, *, durable: bool = False) -> None:
        """Put a file, whole or not at all, in the place of another; `durable`: safe from a power cut on return."""

    def create(self, name: str, data: bytes) -> bool:
        """Put a file, whole; False if there is one. Of two at once, one gets False."""

    def names(self, under: str = "") -> list[str]:
        """The names of the files right in this folder, or in one below it; none where there is no such folder."""

    def folders(self) -> list[str]:
        """The names of the folders right in this one; none where there is no such folder."""

    def listed(self) -> list[Listed]:
        """Every file right in this folder, hidden ones too; none where there is no such folder."""

    def delete(self, name: str) -> None:
        """Remove a file; nothing to do where there is none."""

    def delete_all(self, names: Iterable[str]) -> None:
        """Remove files: in a local folder in this order, so that a crash leaves the later ones; else many at a time."""

    def make(self) -> None:
        """Make the folder and those above it; nothing to do in an object store."""

    def sync(self) -> None:
        """Return once everything in this folder and below it is safe from a power cut, whoever wrote it.

        A local folder's whole file system is synced, for what this machine wrote, and those of the folders right in it,
        which may be links or mounts; in an object store there is nothing to do, because an answered PUT is safe.
        """

    def set_aside(self, to: str, first: str) -> bool:
        """Move all files but the lease to another place, beginning with `first`.

        Returns:
            Whether the lease must be taken anew.
        """

    def open_journal(self, name: str) -> Journal:
        """The journal of that name: the file `<name>.jsonl` in a local folder, the objects `<name>/…` in a store."""

    def take_lease(self, feed: str, lost: Callable[[str], None]) -> "Lease":
        """The right to be the only process that works with this folder, which is there.

        Args:
            feed: named in the command that an error proposes.
            lost: called with the new holder if another process took it, which can happen only while the store did not
                answer this process, or while this process stood still.

        Raises:
            TryAgainError: another process holds it; the message names it.
        """

    def lease_holder(self) -> dict[str, Any]:
        """Who holds the lease in an object store, `holder`, and when it wrote it last by its clock, `renewed`.

        Empty if nobody holds it, and for a local folder.
        """

    def delta_options(self) -> dict[str, str] | None:
        """`storage_options` of delta-rs; None where it needs none."""

    def arrow_files(self) -> "FileSystem":
        """The folder as Arrow's file system."""

    def by_kind(self, *, local: Callable[["LocalFolder"], L], bucket: Callable[["BucketFolder"], B]) -> L | B:
        """What one of two functions makes of this folder: for code above storage, which a folder cannot know."""


class LocalFolder:
    """A folder of this machine's file system."""

    is_remote: ClassVar[bool] = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.uri = str(path)

    def at(self, name: str) -> "LocalFolder":
        return LocalFolder(self.path / name)

    def read(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, name: str, data: bytes | memoryview, *, durable: bool = False) -> None:
        target = self.path / name
        temporary = _temporary(target)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(target)
            if durable:
                sync_folder(target.parent)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def create(self, name: str, data: bytes) -> bool:
        # A hard link is how a local folder says put-if-absent.
        target = self.path / name
        temporary = _temporary(target)
        try:
            temporary.write_bytes(data)
            os.link(temporary, target)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def names(self, under: str = "") -> list[str]:
        try:
            with os.scandir(self.path / under) as entries:
                return [entry.name for entry in entries if entry.is_file() and not entry.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def folders(self) -> list[str]:
        try:
            with os.scandir(self.path) as entries:
                return [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def listed(self) -> list[Listed]:
        found = []
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.path) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # gone since
                    if entry.is_file(follow_symlinks=False):
                        status = entry.stat()
                        found.append(Listed(entry.name, status.st_size, status.st_mtime))
        return found

    def delete(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def delete_all(self, names: Iterable[str]) -> None:
        for name in names:
            self.delete(name)

    def make(self) -> None:
        make_folder(self.path)

    def sync(self) -> None:
        places = [self.path, *(self.path / name for name in self.folders())]
        for place in {place.stat().st_dev: place for place in reversed(places)}.values():
            sync_file_system(place)

    def set_aside(self, to: str, first: str) -> bool:  # noqa: ARG002  a rename moves all at once
        if len(list(self.path.iterdir())) <= 1:  # the lock
            return False
        self.path.rename(to)
        self.path.mkdir()
        sync_folder(self.path.parent)
        return True

    def open_journal(self, name: str) -> Journal:
        return LocalJournal(self.path / f"{name}.jsonl")

    def take_lease(self, feed: str, lost: Callable[[str], None]) -> "Lease":  # noqa: ARG002  the system's lock is never lost
        from streamscore.storage.lease import LocalLock

        return LocalLock(self, feed)

    def lease_holder(self) -> dict[str, Any]:
        return {}

    def delta_options(self) -> None:
        return None

    def arrow_files(self) -> "FileSystem":
        from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

        return SubTreeFileSystem(self.uri, LocalFileSystem())

    def by_kind(self, *, local: Callable[["LocalFolder"], L], bucket: Callable[["BucketFolder"], B]) -> L | B:  # noqa: ARG002
        return local(self)


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
