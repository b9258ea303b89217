"""The commits of a micro-batch: its rejects to quarantine, then its predictions, which decide it; exactly once."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, Transaction, write_deltalake
from deltalake.exceptions import DeltaError

from schemas.errors import ConflictError, StorageError
from schemas.tables import BATCHES, QUARANTINE_SCHEMA
from streamscore.failpoints import fail_at
from streamscore.storage.places import open_folder
from streamscore.tables.batch import KEY, Batch, BatchRecord, parse_files
from streamscore.tables.delta_log import ATTEMPTS, NO_HOOKS, DeltaLog
from streamscore.tables.parts import Part, Parts
from streamscore.tables.tables import Tables

__all__ = ["FOLD", "Batch", "Commit", "DeltaRsWriter", "Writer", "commit", "committed", "record_of_row"]

OLD_SECONDS = 1800.0  # parts are kept for an hour at least
FOLD = "streamscore/fold"  # app id of folding; its transaction version is the newest folded version of predictions


@dataclass(frozen=True)
class Commit:
    """A micro-batch that is in.

    Attributes:
        version: of the predictions table; what holds the batch.
        skipped: it was in before, with the same manifest.
        rows: predictions.
        rejects: rows of rejects, as far as they could be counted.
    """

    version: int
    skipped: bool
    rows: int
    rejects: int


class Writer(Protocol):
    """Who writes the log of a table. Both operations are one commit, or none at all."""

    def append(self, log: DeltaLog, parts: Sequence[Part], app_id: str, number: int, metadata: str) -> int:
        """Add parts, perhaps none, as a transaction that is newer than all of that app; gives the version.

        Raises:
            ConflictError: such a transaction is in, or another run owns the table.
            StorageError: the table cannot be written; whether the commit is in may be unknown.
        """

    def replace(
        self, log: DeltaLog, own: dict[str, str | int], parts: Sequence[Part], app_id: str, metadata: str
    ) -> int:
        """Add parts in the place of the rows whose columns equal `own`; of two at once, one fails.

        Raises:
            ConflictError: somebody else replaces rows of that app.
            StorageError: the table cannot be written; whether the commit is in may be unknown.
        """

    def clear(self, parts: Parts, tables: Tables) -> None:
        """Remove what a committed batch leaves beside the tables."""


def commit(parts: Parts, batch: Batch, tables: Tables, writer: Writer) -> Commit:
    """Append the parts of one micro-batch, once.

    1. Skip a batch whose predictions are in.  2. Put its rejects, in the place of those of an earlier try.
    3. Commit its predictions, perhaps none, which decides it.
    A crash between any two steps is repaired by running the same batch again: it starts over or skips.

    Raises:
        ConflictError: another driver owns this batch; it is named in the message.
        StorageError: the tables cannot be written; run the same batch again.
    """
    # 1
    found = _in_tables(batch.batch_id, batch.app_id, batch.manifest.digest, tables)
    if found:
        return Commit(found.table_version, True, found.rows, found.rejects)
    record = BatchRecord.of(batch, parts.counts)
    _assert_complete(parts, record, batch)
    _assert_there(parts, tables)
    # 2
    _put_rejects(parts, record, tables, writer)
    # 3
    fail_at("predictions:before", batch.batch_id)
    version = _put_predictions(parts, record, tables, writer)
    fail_at("predictions:after", batch.batch_id)
    writer.clear(parts, tables)
    return Commit(version, False, record.rows, record.rejects)


def committed(batch_id: int, app_id: str, digest: str, tables: Tables) -> bool:
    """Whether the predictions of a batch are in, of a manifest with the same digest.

    Raises:
        ConflictError: it is in with another manifest, or a newer batch is in and this one is nowhere to be found.
    """
    return _in_tables(batch_id, app_id, digest, tables) is not None


def record_of_row(row: dict[str, Any]) -> BatchRecord:
    """The record in a row of `batches`."""
    files, counts = parse_files(row["files"])
    return BatchRecord(
        app_id=row["app_id"],
        batch_id=row["batch_id"],
        digest=row["digest"],
        attempt="",
        files=files,
        counts=counts,
        rows=row["predictions"],
        rejects=row["rejects"],
        model_name=row["model_name"],
        model_version=row["model_version"],
        found_at=int(row["found_at"].timestamp() * 1e9) if row["found_at"] else None,
        table_version=row["table_version"],
        committed_at=int(row["committed_at"].timestamp() * 1e3),
    )


class DeltaRsWriter:
    """Commits without Spark: parts stay where they were written, the log says that they are in."""

    def append(self, log: DeltaLog, parts: Sequence[Part], app_id: str, number: int, metadata: str) -> int:
        return log.append(parts, app_id, number, metadata)

    def replace(
        self, log: DeltaLog, own: dict[str, str | int], parts: Sequence[Part], app_id: str, metadata: str
    ) -> int:
        guard, number = replace_guard(app_id), None
        for left in reversed(range(ATTEMPTS)):
            table = log.handle_to_write()
            found = _next(table.transaction_version(guard))
            if number not in (None, found):
                msg = f"{log.uri}: another driver replaces rows of {own}; stop one of them"
                raise ConflictError(msg)
            number = found
            # deltalake commits from this snapshot, and fails if a newer one has another transaction of the guard
            properties = CommitProperties({"userMetadata": metadata}, app_transactions=[Transaction(guard, number)])
            options: dict[str, Any] = {"commit_properties": properties, "post_commithook_properties": NO_HOOKS}
            try:
                # never `delete`: it writes string_view, after which no pyarrow filter on a string column works any more
                rows = log.rows_of(parts, QUARANTINE_SCHEMA)
                write_deltalake(table, rows, mode="overwrite", predicate=predicate(own), **options)
                break
            except (DeltaError, OSError) as error:
                if "oncurrent" in str(error) and left:
                    continue  # another driver's, as its guard then says; or their files were compacted meanwhile
                msg = f"cannot replace rows of {own} in {log.uri}: {error}; look: streamscore doctor"
                raise StorageError(msg) from error
        log.refresh()
        return log.version

    def clear(self, parts: Parts, tables: Tables) -> None:
        """Nothing: parts are where they belong."""


def replace_guard(app_id: str) -> str:
    """The app id under which replacing rows is counted, so that of two who replace at once one fails."""
    return f"{app_id}/replace"


def predicate(own: dict[str, str | int]) -> str:
    """Rows whose columns have these values, in SQL."""
    return " AND ".join(f"{column} = {_quoted(value)}" for column, value in own.items())


def _quoted(value: str | int) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def _in_tables(batch_id: int, app_id: str, digest: str, tables: Tables) -> BatchRecord | None:
    tables.predictions.refresh()
    tables.predictions.assert_writable()
    newest = tables.predictions.transaction(app_id)
    if newest is None or newest < batch_id:
        return None
    found = _find(batch_id, app_id, tables)
    where = f"micro-batch {batch_id} of {app_id} in {tables.predictions.uri}"
    if found is None:
        msg = (
            f"{where} is not to be found, and micro-batch {newest} is in: this checkpoint is older than the tables; "
            f"start over from the tables: streamscore run {tables.feed.name} --recover"
        )
        raise ConflictError(msg)
    if found.digest != digest:
        msg = (
            f"{where} has {len(found.files)} files with digest {found.digest[:12]}, wanted {digest[:12]}: another "
            f"driver committed it; stop one of them, or start over: streamscore run {tables.feed.name} --recover"
        )
        raise ConflictError(msg)
    return found


def _find(batch_id: int, app_id: str, tables: Tables) -> BatchRecord | None:
    """The record of a batch: in the log not folded yet, then in `batches`, then in what else the log has."""
    folded = -1
    if tables.exists(BATCHES):
        tables.batches.refresh()
        newest = tables.batches.transaction(FOLD)
        folded = -1 if newest is None else newest
    if found := _in_log(batch_id, app_id, tables, folded):
        return found
    if folded >= 0:
        own = (pc.field("app_id") == app_id) & (pc.field("batch_id") == batch_id)
        if rows := tables.batches.dataset().to_table(filter=own).to_pylist():
            return record_of_row(rows[-1])
        return _in_log(batch_id, app_id, tables, -1)
    return None


def _in_log(batch_id: int, app_id: str, tables: Tables, after: int) -> BatchRecord | None:
    for entry in tables.predictions.entries(after, newest_first=True):
        record = BatchRecord.from_json(entry.metadata, entry.version, entry.at)
        if record and (record.app_id, record.batch_id) == (app_id, batch_id):
            return record
    return None


def _assert_complete(parts: Parts, record: BatchRecord, batch: Batch) -> None:
    """Parts and counts say the same number of rows of files, and are of the batch's own files."""
    rows = sum(part.rows for part in parts.predictions)
    foreign = set(parts.counts) - {file.path for file in batch.manifest.files}
    if rows != record.rows or foreign:
        msg = (
            f"micro-batch {batch.batch_id}: its parts hold {rows} predictions, its counts say {record.rows}"
            f"{f', of files not in its manifest: {sorted(foreign)[:3]}' if foreign else ''}; nothing was committed; "
            f"report this"
        )
        raise StorageError(msg)


def _assert_there(parts: Parts, tables: Tables) -> None:
    """Parts of a driver that stood still for long may have been taken for left over by `streamscore maintain`."""
    for folder, some in zip(tables.folders, (parts.predictions, parts.rejects), strict=True):
        if any(time.time() - part.modified / 1000 > OLD_SECONDS for part in some):
            there = {file.name for file in open_folder(folder, tables.storage).listed()}
            if gone := [part.path for part in some if part.path not in there]:
                msg = f"{folder}/{gone[0]} is gone, this commit came too late; try again"
                raise StorageError(msg)


def _put_rejects(parts: Parts, record: BatchRecord, tables: Tables, writer: Writer) -> None:
    log = tables.quarantine
    log.refresh()
    newest = log.transaction(record.app_id)
    own: dict[str, str | int] = {"app_id": record.app_id, "batch_id": record.batch_id}
    tried = newest is not None and newest >= record.batch_id
    if not tried and not parts.rejects:
        return
    fail_at("quarantine:before", record.batch_id)
    body = {"app_id": record.app_id, "batch_id": record.batch_id, "digest": record.digest, "attempt": record.attempt}
    metadata = json.dumps({KEY: body})
    # transactions may be lost where somebody made the table anew from its rows: then the rows tell
    if tried or (newest is None and _has_rows(log, own)):
        writer.replace(log, own, parts.rejects, record.app_id, metadata)
    else:
        writer.append(log, parts.rejects, record.app_id, record.batch_id, metadata)
    fail_at("quarantine:after", record.batch_id)


def _has_rows(log: DeltaLog, own: dict[str, str | int]) -> bool:
    wanted = pc.scalar(True)
    for column, value in own.items():
        wanted = wanted & (pc.field(column) == pa.scalar(value))
    return log.dataset().count_rows(filter=wanted) > 0


def _put_predictions(parts: Parts, record: BatchRecord, tables: Tables, writer: Writer) -> int:
    log = tables.predictions
    try:
        return writer.append(log, parts.predictions, record.app_id, record.batch_id, record.to_json())
    except ConflictError as error:
        log.refresh()
        found = _in_log(record.batch_id, record.app_id, tables, -1)
        if found and found.attempt == record.attempt:
            return found.table_version  # our own, whose answer got lost and which was then tried again
        if found is None:
            raise
        msg = (
            f"micro-batch {record.batch_id} of {record.app_id} was committed to {log.uri} by another driver while this "
            f"one scored it; stop one of them"
        )
        raise ConflictError(msg) from error


def _next(number: int | None) -> int:
    return 0 if number is None else number + 1
