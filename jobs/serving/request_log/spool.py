"""Rows that are in no table yet: on disk, each segment of them whole or not there, and bounded in all.

A process has a spool of its own, `<root>/<n>`, which it locks. Whoever is started after it died takes the spool over,
and with it the app id, under which the tables know how far they are.
"""

import base64
import contextlib
import fcntl
import json
import os
import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import pyarrow as pa

from jobs.serving.request_log.account import Account
from jobs.serving.request_log.rows import LogRows
from schemas.errors import StorageError
from streamscore.storage.folder import LocalFolder
from streamscore.tables.parts import Part, write_part

APP_ID, LOCK, ENDING = "app_id", "lock", ".json"
MOST_SPOOLS = 1000


@dataclass(frozen=True)
class Segment:
    """Rows for one table, in a Parquet part beside its description.

    Attributes:
        number: in its spool; of each table, segments go in by their numbers.
        feed: whose table; `serving` for that of no feed.
        requests: how many they are of.
        spooled: how many requests were put on disk, with this segment.
    """

    number: int
    feed: str
    part: Part
    schema: pa.Schema
    requests: int
    spooled: int

    @property
    def name(self) -> str:
        """Of its description."""
        return _name(self.number)

    def to_json(self) -> bytes:
        """Its description."""
        schema = base64.b64encode(self.schema.serialize().to_pybytes()).decode()
        body: dict[str, Any] = {"feed": self.feed, "part": asdict(self.part), "schema": schema}
        return json.dumps(body | {"requests": self.requests, "spooled": self.spooled}).encode()

    @classmethod
    def from_json(cls, name: str, data: bytes) -> Self:
        """What `to_json` made."""
        body = json.loads(data)
        schema = pa.ipc.read_schema(pa.BufferReader(base64.b64decode(body.pop("schema"))))
        return cls(int(name.removesuffix(ENDING)), part=Part(**body.pop("part")), schema=schema, **body)


class _Kept(NamedTuple):
    """What is kept in memory of a segment: storage may be away for long."""

    feed: str
    requests: int


class Spool:
    """One spool, which this process has alone. `put` is called by one thread, all else by another.

    Attributes:
        app_id: what the tables know it by.
        lost: how many requests the last process had in memory when it ended.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        """Take a spool.

        Raises:
            BlockingIOError: another process has it.
            OSError: the folder cannot be written.
        """
        path.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise
        self.folder, self._most = LocalFolder(path), most_bytes
        self.app_id = self._identity()
        self._kept: dict[int, _Kept] = {}
        self._bytes = self._freed = 0
        self._empty: list[str] = []  # descriptions of parts that are gone
        self._next, spooled = self._look()
        self.account = Account(path)
        self.lost = self.account.begin(spooled, sum(kept.requests for kept in self._kept.values()))

    def put(self, of: LogRows) -> bool:
        """Put rows on disk; False if there is no room.

        Raises:
            OSError, StorageError: the disk does not take them.
        """
        if self._bytes - self._freed > self._most:
            return False
        part = write_part(of.rows, self.folder, durable=True)
        spooled = self.account.spooled + of.requests
        segment = Segment(self._next, of.feed, part, of.rows.schema, of.requests, spooled)
        self.folder.write(segment.name, segment.to_json(), durable=True)
        self.account.spool(of.requests)
        self._next += 1
        self._bytes += part.size
        self._kept[segment.number] = _Kept(of.feed, of.requests)
        return True

    def waiting(self) -> dict[str, list[int]]:
        """The numbers of the segments that are in no table yet, oldest first, by feed."""
        found: dict[str, list[int]] = defaultdict(list)
        for number, kept in sorted(self._kept.copy().items()):
            found[kept.feed].append(number)
        return found

    def read(self, number: int) -> Segment:
        """A segment that waits.

        Raises:
            StorageError: its description is gone.
        """
        name = _name(number)
        if (data := self.folder.read(name)) is None:
            msg = f"{self.folder.uri}/{name} is gone; its requests are lost"
            raise StorageError(msg)
        return Segment.from_json(name, data)

    def logged(self, segments: Iterable[Segment]) -> None:
        """These are in their table; they stay on disk until `delete`."""
        for segment in segments:
            if self._kept.pop(segment.number, None):
                self.account.log(segment.requests)

    def delete(self, segments: Iterable[Segment]) -> None:
        """Free the room of what is safe in its table.

        The newest description stays: the tables take no segment whose number was there before.
        """
        for segment in segments:
            self.folder.delete(segment.part.path)
            self._freed += segment.part.size
            self._empty.append(segment.name)
        newest = _name(self._next - 1)
        self.folder.delete_all(name for name in self._empty if name != newest)
        self._empty = [name for name in self._empty if name == newest]

    def release(self) -> None:
        """Let another process have it."""
        os.close(self._lock)

    def _identity(self) -> str:
        if found := self.folder.read(APP_ID):
            return found.decode()
        self.folder.write(APP_ID, (made := uuid.uuid4().hex).encode(), durable=True)
        return made

    def _look(self) -> tuple[int, int]:
        """What the last process left; gives the next number, and how many requests were put on disk until then."""
        names = set(self.folder.names())
        known, last, spooled = set[str](), -1, 0
        for name in sorted(name for name in names if name.endswith(ENDING)):
            last = int(name.removesuffix(ENDING))
            try:
                segment = Segment.from_json(name, self.folder.read(name) or b"")
            except (ValueError, KeyError, TypeError):  # a disk that lost what it said was safe
                self._empty.append(name)
                continue
            spooled = segment.spooled
            if segment.part.path in names:
                known.add(segment.part.path)
                self._kept[segment.number] = _Kept(segment.feed, segment.requests)
                self._bytes += segment.part.size
            else:
                self._empty.append(name)
        self.folder.delete_all(name for name in names - known if name.endswith(".parquet"))
        return last + 1, spooled


def _name(number: int) -> str:
    return f"{number:020}{ENDING}"


def take_spool(root: Path, most_bytes: int) -> Spool:
    """The first spool that no other process has.

    Raises:
        OSError: the folder cannot be written.
    """
    for number in range(MOST_SPOOLS):
        with contextlib.suppress(BlockingIOError):
            return Spool(root / str(number), most_bytes)
    msg = f"{root} has {MOST_SPOOLS} spools, all of them in use"
    raise OSError(msg)


def left_spools(root: Path, first: int, most_bytes: int) -> list[Spool]:
    """Spools from a number on that a process left, with rows for the tables."""
    found = []
    for path in sorted(root.iterdir()):
        if path.name.isdigit() and int(path.name) >= first:
            with contextlib.suppress(OSError):
                spool = Spool(path, most_bytes)
                if spool.waiting():
                    found.append(spool)
                else:
                    spool.release()
    return found
