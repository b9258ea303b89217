"""What is done beside the stream: commit metadata folded into `batches`, events written, table logs checkpointed."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import pyarrow as pa
import structlog

from schemas.errors import ConflictError
from schemas.passwords import without_passwords
from schemas.tables import BATCHES, BATCHES_SCHEMA, EVENTS, EVENTS_SCHEMA, QUARANTINE
from streamscore.landing.manifest import LandedFile
from streamscore.tables.batch import BatchRecord, Counts
from streamscore.tables.commit import FOLD
from streamscore.tables.delta_log import DeltaLog
from streamscore.tables.parts import write_part
from streamscore.tables.tables import Tables

log = structlog.get_logger()

SECONDS = 5.0  # between two rounds
PENDING = 50  # commits that start a round early


def append_batch_rows(tables: Tables) -> int:
    """Append to `batches` one row for each predictions commit that is not there; gives their number.

    One commit of `batches`, which also says how far it got: run twice, or by two at once, nothing is doubled. Nothing
    is lost where the log was cleaned up to the last folded version.
    """
    predictions, batches = tables.predictions, tables.batches
    predictions.refresh()
    batches.refresh()
    folded = batches.transaction(FOLD)
    if predictions.version == folded:
        return 0
    entries = predictions.entries(-1 if folded is None else folded)
    records = [r for e in entries if (r := BatchRecord.from_json(e.metadata, e.version, e.at))]
    if not records:
        return 0
    rows = pa.Table.from_pylist([_row(record) for record in records], schema=BATCHES_SCHEMA)
    try:
        _append(batches, rows, FOLD, predictions.version)
    except ConflictError:
        return 0  # somebody else folded them
    return len(records)


def append_events(tables: Tables, rows: Sequence[dict[str, Any]]) -> None:
    """Append events, given by the columns of EVENTS_SCHEMA that they have; `at` is now if it is not given."""
    if rows:
        now = datetime.now(UTC)
        tables.events.refresh()
        _append(tables.events, pa.Table.from_pylist([{"at": now} | row for row in rows], schema=EVENTS_SCHEMA))


def checkpoint_logs(tables: Tables) -> None:
    """Write a checkpoint of each table's log that has grown by `tables.checkpoint_every` commits since its last one."""
    for name in (tables.scored, QUARANTINE, BATCHES, EVENTS):
        if tables.exists(name):
            of_table: DeltaLog = tables.log(name)
            of_table.refresh()
            if of_table.obstacle:  # a log checkpoint may have to say more than this version of `deltalake` knows
                continue
            if of_table.version - max(of_table.last_checkpoint(), 0) >= tables.settings.checkpoint_every:
                of_table.write_checkpoint()


class MaintenanceScheduler(Protocol):
    """Maintenance of the tables, elsewhere; nothing here waits for it."""

    def committed(self) -> None:
        """A micro-batch was committed."""

    def look(self) -> None:
        """Start a round if it is time."""

    def stop(self) -> None:
        """End the round that is at work."""


class Housekeeping:
    """A thread that folds, writes events and checkpoints, every few seconds and at the end; and starts maintenance.

    Nothing that goes wrong in it reaches the stream; it is logged, and tried again in the next round.
    """

    def __init__(
        self, tables: Tables, app_id: str, rounds: MaintenanceScheduler | None = None, *, seconds: float = SECONDS
    ) -> None:
        self._tables, self._app_id, self._seconds = tables.reopen(), app_id, seconds
        self._rounds = rounds
        self._events: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._pending = 0
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Make the app id known to the tables, and start; call it once the ledger holds what the tables say."""
        self._tables.register_checkpoint(self._app_id)
        self._thread.start()

    def stop(self) -> None:
        """Do what is left, and stop."""
        self._stopping.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()

    def committed(self) -> None:
        """A micro-batch was committed."""
        self._pending += 1
        if self._rounds:
            self._rounds.committed()
        if self._pending >= PENDING:
            self._wake.set()

    def event(
        self, kind: str, name: str = "", version: str = "", detail: str = "", batch_id: int | None = None
    ) -> None:
        """Something happened; it is written in the next round."""
        row = {"at": datetime.now(UTC), "kind": kind, "app_id": self._app_id, "batch_id": batch_id}
        row["detail"] = without_passwords(detail)
        with self._lock:
            self._events.append(row | {"model_name": name or None, "model_version": version or None})

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(self._seconds)
            self._wake.clear()
            self._round()
            self._maintain()
        if self._rounds:
            self._rounds.stop()
        self._round()

    def _maintain(self) -> None:
        try:
            if self._rounds and not self._stopping.is_set():
                self._rounds.look()
        except Exception as error:
            log.warning("housekeeping", step="maintain", error=str(error))

    def _round(self) -> None:
        self._pending = 0
        for step, do in (
            ("write_events", self._write_events),
            ("fold_batches", append_batch_rows),  # what the log has always called it
            ("checkpoint_logs", checkpoint_logs),
        ):
            try:
                do(self._tables)
            except Exception as error:  # the stream goes on whatever happens here
                log.warning("housekeeping", step=step, error=str(error))

    def _write_events(self, tables: Tables) -> None:
        with self._lock:
            rows = list(self._events)
        append_events(tables, rows)
        with self._lock:
            del self._events[: len(rows)]


def _append(table: DeltaLog, rows: pa.Table, app_id: str = "", number: int = 0) -> None:
    table.append([write_part(rows, table.folder)], app_id, number, "")


def _row(record: BatchRecord) -> dict[str, Any]:
    return {
        "app_id": record.app_id,
        "batch_id": record.batch_id,
        "digest": record.digest,
        "files": [_file(file, counts) for file, counts in zip(record.files, record.counts, strict=True)],
        "predictions": record.rows,
        "rejects": record.rejects,
        "model_name": record.model_name,
        "model_version": record.model_version,
        "found_at": None if record.found_at is None else record.found_at // 1000,
        "committed_at": record.committed_at * 1000,
        "table_version": record.table_version,
    }


def _file(file: LandedFile, counts: Counts) -> dict[str, Any]:
    content = {"path": file.path, "size": file.size, "modified": file.modified, "etag": file.etag}
    return content | {"predictions": counts.predictions, "rejects": counts.rejects}
