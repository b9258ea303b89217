"""Which files a micro-batch is made of. A manifest is the source's offset: decided once, replayed after any crash."""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote_from_bytes, unquote, unquote_to_bytes, urlsplit

EARLIEST, LATEST = -2_208_988_800_000_000_000, 9_223_372_036_000_000_000  # 1900-01-01 and 2262-04-11

_ESCAPED = re.compile(rb"\\x(5c|[89a-f][0-9a-f])")
_LIKE_ESCAPED = re.compile(rb"\\(?=x(?:5c|[89a-f][0-9a-f]))")


@dataclass(frozen=True, slots=True)
class LandedFile:
    """A file as it was found in the landing folder.

    Attributes:
        path: absolute URI, percent-encoded (`file:///in/a%20b.csv`).
        size: bytes.
        modified: the file's own time, nanoseconds since 1970.
        etag: the object store's; empty for a local file.
        found: when the source saw it, nanoseconds since 1970.
        changed: its path was seen before with other content; it becomes one `file_changed` row.
    """

    path: str
    size: int
    modified: int
    etag: str = ""
    found: int = 0
    changed: bool = False

    def to_json(self) -> dict[str, Any]:
        """Its attributes; in a tenth of the time that `asdict` takes."""
        return {
            "path": self.path,
            "size": self.size,
            "modified": self.modified,
            "etag": self.etag,
            "found": self.found,
            "changed": self.changed,
        }

    @property
    def local_path(self) -> str:
        """The path in the local file system."""
        return unquote(urlsplit(self.path).path, errors="surrogateescape")

    @property
    def key(self) -> str:
        """The key in its bucket."""
        return unquote(self.path.removeprefix("s3://").partition("/")[2])

    @property
    def content(self) -> tuple[int, int, str]:
        """What tells this content of the path from another; an object that was put again unchanged is the same."""
        return (self.size, 0, self.etag) if self.etag else (self.size, self.modified, "")


@dataclass(frozen=True, slots=True)
class BatchManifest:
    """The files of one micro-batch, oldest first; `seq` grows by one with each manifest."""

    seq: int
    files: tuple[LandedFile, ...] = ()

    @classmethod
    def from_offset(cls, offset: Mapping[str, Any]) -> Self:
        """The manifest in a source offset, as `to_offset` made it."""
        return cls(offset["seq"], tuple(LandedFile(**entry) for entry in offset["files"]))

    @classmethod
    def from_log(cls, text: bytes) -> Self:
        """The manifest in a file of Spark's offset log: a version, a line of metadata, and a line for the source."""
        return cls.from_offset(json.loads(text.splitlines()[2]))

    def to_offset(self) -> dict[str, Any]:
        """The JSON value that Spark keeps in its offset log."""
        return {"seq": self.seq, "files": [file.to_json() for file in self.files]}

    @property
    def digest(self) -> str:
        """SHA-256 over paths and contents: the same files give the same digest, whenever they were found."""
        text = json.dumps([[f.path, *f.content, f.changed] for f in self.files], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.size for file in self.files)


def file_time(status: os.stat_result) -> int:
    """When a file was written, as `within_tables`."""
    return within_tables(status.st_mtime_ns)


def within_tables(nanoseconds: int) -> int:
    """A time, nanoseconds since 1970, or the nearest one that every reader of tables takes."""
    return min(max(nanoseconds, EARLIEST), LATEST)


def local_file(path: str, status: os.stat_result, found: int = 0) -> LandedFile:
    """A file of this machine, by its absolute path, as a landed file."""
    # as Path.as_uri, in a tenth of its time
    return LandedFile(f"file://{quote_from_bytes(os.fsencode(path))}", status.st_size, file_time(status), found=found)


def source_file(file: LandedFile, landing: str) -> str:
    r"""A file's name in the tables: relative to the landing folder (an absolute URI), with `/`; each file has its own.

    Bytes that are no UTF-8 are written as `\xe9`; so that a name that has such text is another one, its backslash is
    written as `\x5c`. Other names are as they are.
    """
    root = landing.rstrip("/") + "/"
    name = unquote_to_bytes(file.path[len(root) :] if file.path.startswith(root) else file.path)
    if b"\\" in name:
        name = _LIKE_ESCAPED.sub(rb"\\x5c", name)
    return name.decode("utf-8", "backslashreplace")


def landed_name(source: str) -> bytes:
    """The name, relative to the landing folder, of which `source_file` made this one."""
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), source.encode())


def landed_path(source: str, landing: str) -> str:
    """The path that a landed file has in manifests, by its name in the tables."""
    return f"{landing.rstrip('/')}/{quote_from_bytes(landed_name(source))}"


def by_bytes(files: Sequence[LandedFile], size: int) -> list[list[LandedFile]]:
    """The files in order, in groups of about `size` bytes."""
    groups: list[list[LandedFile]] = []
    room = 0
    for file in files:
        if not groups or room < file.size:
            groups.append([])
            room = size
        groups[-1].append(file)
        room -= file.size
    return groups
