"""A stream seen from outside: its folders, tables, ledger and landed files, only read, and without Spark."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote_from_bytes

import pyarrow as pa

from jobs.streaming.landing.manifest import LandedFile, Manifest
from jobs.streaming.landing.objects import BucketLanding
from jobs.streaming.landing.watch import ENDINGS, HIDDEN
from jobs.streaming.storage.bucket import BucketFolder
from jobs.streaming.storage.folder import Folder
from jobs.streaming.writing.batch import Record
from schemas.feed import Feed
from schemas.settings import Settings
from schemas.tables import PREDICTIONS

if TYPE_CHECKING:  # 0.1 s
    from deltalake import DeltaTable


@dataclass(frozen=True, slots=True)
class Places:
    """Where a feed's stream lives; absolute, there or not."""

    landing: Path
    tables: Path
    checkpoint: Path

    @classmethod
    def of(cls, feed: Feed, settings: Settings) -> Self:
        """Those of the settings."""
        given = settings.landing, settings.tables.path, settings.checkpoint
        return cls(*(Path(path.format(feed=feed.name)).absolute() for path in given))


def open_table(path: Path) -> "DeltaTable | None":
    """A Delta table; null if there is none."""
    from deltalake import DeltaTable

    return DeltaTable(path) if DeltaTable.is_deltatable(str(path)) else None


def query(table: "DeltaTable", sql: str) -> list[dict[str, Any]]:
    """The rows of a SELECT from `t`, for few rows: without pandas, which pyarrow imports for a time: 0.9 s."""
    from deltalake import QueryBuilder

    rows = QueryBuilder().register("t", table).execute(sql).read_all().to_struct_array()
    return [rows[i].as_py() for i in range(len(rows))]


def select(table: "DeltaTable", sql: str) -> pa.Table:
    """The rows of a SELECT from `t`, for many."""
    from deltalake import QueryBuilder

    return pa.RecordBatchReader.from_stream(QueryBuilder().register("t", table).execute(sql)).read_all()


def quoted(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def records_after(tables: Path, version: int) -> Iterator[Record]:
    """What the predictions commits after a version say of their micro-batches, newest first."""
    table = open_table(tables / PREDICTIONS)
    newer = table.version() - version if table is not None else 0
    for commit in table.history(newer) if table is not None and newer > 0 else ():
        record = Record.from_json(commit.get("userMetadata"), commit["version"], commit.get("timestamp", 0))
        if record is not None and commit["version"] > version:
            yield record


def files_in_ledger(checkpoint: Path) -> Iterator[LandedFile]:
    """Every file whose micro-batch is done, but those of the newest; in the order in which they were found.

    A line that is torn is passed over: the stream may be writing it.
    """
    with contextlib.suppress(FileNotFoundError), (checkpoint / "ledger.jsonl").open("rb") as lines:
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                yield from Manifest.from_offset(json.loads(line)).files


def files_planned(checkpoint: Path) -> Iterator[LandedFile]:
    """The files of the micro-batches that Spark's offset log still has, oldest first; done or not."""
    folder = checkpoint / "offsets"
    numbers = sorted(int(name) for name in os.listdir(folder) if name.isdigit()) if folder.is_dir() else ()
    for number in numbers:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, IndexError):
            yield from Manifest.from_log((folder / str(number)).read_bytes()).files


def landed_files(landing: Folder) -> Iterator[LandedFile]:
    """The files in a landing folder, by their names; nothing tells whether they are settled."""
    if isinstance(landing, BucketFolder):
        return iter(BucketLanding(landing, 60.0, 0.0).look())
    return _landed(os.fsencode(landing.uri))


def _landed(folder: bytes) -> Iterator[LandedFile]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = os.fsdecode(entry.name)
            if name.startswith(HIDDEN):
                continue
            with contextlib.suppress(FileNotFoundError):  # cleaned up since
                if entry.is_dir():
                    yield from _landed(entry.path)
                elif name.lower().endswith(ENDINGS):
                    status = entry.stat()
                    # as Path.as_uri, in a tenth of its time
                    yield LandedFile(f"file://{quote_from_bytes(entry.path)}", status.st_size, status.st_mtime_ns)
