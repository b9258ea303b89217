"""A folder of small files: read, write, put-if-absent, list, delete."""

import contextlib
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


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

    def listed(self) -> list[Listed]:
        """Every file right in this folder, hidden ones too; none where there is no such folder."""

    def delete(self, name: str) -> None:
        """Remove a file; nothing to do where there is none."""


class LocalFolder:
    """A folder of this machine's file system."""

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


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
