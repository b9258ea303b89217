"""A stream seen from outside: its tables, ledger and landed files, only read, and without Spark."""

import contextlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from streamscore.landing.ledger import NAME as LEDGER
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.storage.folder import Folder
from streamscore.storage.places import open_folder
from streamscore.storage.stream_paths import StreamPaths
from streamscore.tables.batch import BatchRecord
from streamscore.tables.log_entry import checkpoint_version
from streamscore.tables.torn import blame

if TYPE_CHECKING:  # 0.1 s
    from deltalake import DeltaTable


def open_table(paths: StreamPaths, name: str) -> "DeltaTable | None":
    """A Delta table; None if there is none.

    Raises:
        RecoveryError: an entry of its log is torn.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    uri = paths.table(name)
    folder = open_folder(uri, paths.storage)
    options = folder.delta_options()
    if not DeltaTable.is_deltatable(uri, options):
        return None
    try:
        return DeltaTable(uri, storage_options=options)
    except DeltaError:
        log = folder.at("_delta_log")
        blame(uri, log, checkpoint_version(log))
        raise


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


def records_after(paths: StreamPaths, scored: str, version: int) -> Iterator[BatchRecord]:
    """What the commits of predictions, or forecasts, after a version say of their micro-batches, newest first.

    Args:
        scored: the table's name.
    """
    table = open_table(paths, scored)
    newer = table.version() - version if table is not None else 0
    for commit in table.history(newer) if table is not None and newer > 0 else ():
        record = BatchRecord.from_json(commit.get("userMetadata"), commit["version"], commit.get("timestamp", 0))
        if record is not None and commit["version"] > version:
            yield record


def files_in_ledger(checkpoint: Folder) -> Iterator[LandedFile]:
    """Every file whose micro-batch is done, but those of the newest; in the order in which they were found.

    A line that is damaged is passed over.
    """
    for line in checkpoint.open_journal(LEDGER).lines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            yield from BatchManifest.from_offset(json.loads(line)).files


def files_planned(checkpoint: Folder) -> Iterator[LandedFile]:
    """The files of the micro-batches that Spark's offset log still has, oldest first; done or not."""
    for number in sorted(int(name) for name in checkpoint.names("offsets") if name.isdigit()):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, IndexError):
            yield from BatchManifest.from_log(checkpoint.read(f"offsets/{number}") or b"").files
