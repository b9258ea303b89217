"""`streamscore status`: what a feed's stream has done, from its tables and ledger alone.

No Spark, no MLflow, no pyarrow datasets: `deltalake` answers in SQL, so that the command takes about a second.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jobs.operations.stream_state import files_in_ledger, open_table, query, records_after
from schemas.errors import StorageError
from schemas.feed import Feed
from schemas.settings import Settings
from schemas.tables import BATCHES, EVENTS, FORECASTS, QUARANTINE, scored_table
from streamscore.landing.listing import landed_files
from streamscore.landing.manifest import LandedFile
from streamscore.landing.troubles import read_troubles
from streamscore.storage.stream_paths import StreamPaths
from streamscore.tables.batch import BatchRecord
from streamscore.tables.owner import Owner

LAST_BATCHES = 1000  # of which the latency is told
REASON_PARTS = 1000  # of quarantine, the newest, in which reasons are counted: 0.3 ms each

Content = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Change:
    """The last swap or refusal of a model version: `kind` is `swapped` or `refused`, `detail` says why."""

    kind: str
    at: datetime
    model_name: str | None
    model_version: str | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Status:
    """What a stream has done; null means that nothing tells.

    Attributes:
        files_waiting: in the landing folder, and in no committed micro-batch.
        rows: in predictions; of a series feed, observations in forecasts.
        rejects: rows refused, those of refused files included as far as they could be counted.
        rejects_by_reason: entries of quarantine, most first; of its newest parts, if it has very many.
        rejects_replayed: entries of quarantine that were landed again.
        landing_troubles: entries of the landing folder that are not as they should be, by kind.
        model_name, model_version: of the last micro-batch; None of a routed feed, which has many.
        routed_by: the column of a routed feed.
        owner: the run that may commit to the tables: its checkpoint, process and machine, and since when.
        landed_to_committed_p50_ms: of `measured_batches` micro-batches, from finding their first file to their commit.
    """

    feed: str
    landing: str
    tables: str
    last_batch_id: int | None = None
    last_batch_committed_at: datetime | None = None
    last_batch_seconds_ago: float | None = None
    files_waiting: int | None = None
    batches: int = 0
    rows: int = 0
    rejects: int = 0
    reject_ratio: float | None = None
    rejects_by_reason: Mapping[str, int] | None = None
    rejects_replayed: int = 0
    landing_troubles: Mapping[str, int] | None = None
    first_landing_trouble: str | None = None
    model_name: str | None = None
    model_version: str | None = None
    routed_by: str | None = None
    last_model_change: Change | None = None
    landed_to_committed_p50_ms: float | None = None
    landed_to_committed_p99_ms: float | None = None
    measured_batches: int = 0
    owner: str | None = None


def read_status(feed: Feed, settings: Settings) -> Status:
    """The status of a feed's stream; of one that never ran, an empty one.

    Raises:
        StorageError: a table or the landing folder is there and cannot be read.
    """
    with _reading(feed, settings) as paths:
        batches, newest = _batches(paths, scored_table(feed))
        values = (
            _quarantine(paths) | _troubles(paths) | batches
        )  # batches count the rows of refused files, quarantine has one
        rows, rejects = _count_rows(paths, scored_table(feed)), values.get("rejects", 0)
        return Status(
            feed.name,
            paths.landing.uri,
            paths.tables,
            files_waiting=_count_waiting(paths, newest, feed.csv.endings),
            rows=rows,
            reject_ratio=rejects / (rows + rejects) if rows + rejects else None,
            routed_by=feed.routing.column if feed.routing else None,
            last_model_change=_last_change(paths),
            owner=_owner(paths, scored_table(feed)),
            **values,
        )


def count_waiting(feed: Feed, settings: Settings) -> int | None:
    """The `files_waiting` of the status alone, without what the tables of rows are read for.

    Raises:
        StorageError: as `read_status`.
    """
    with _reading(feed, settings) as paths:
        return _count_waiting(paths, _batches(paths, scored_table(feed))[1], feed.csv.endings)


@contextlib.contextmanager
def _reading(feed: Feed, settings: Settings) -> Iterator[StreamPaths]:
    """Where the stream of a feed is; what cannot be read there is told."""
    from deltalake.exceptions import DeltaError

    paths = StreamPaths.of(feed, settings)
    paths.assert_reachable()
    try:
        yield paths
    except (DeltaError, OSError) as error:
        said = str(error).partition("\n")[0]
        msg = f"cannot read {paths.tables} or {paths.landing.uri}: {said}; look: streamscore doctor {feed.name}"
        raise StorageError(msg) from error


def _batches(paths: StreamPaths, scored: str) -> tuple[dict[str, Any], dict[str, Content]]:
    """What all micro-batches come to, and the files of the newest, which the ledger does not have yet.

    From `batches`, and for what is not folded into it yet from the commits of predictions.
    """
    total, rejects, folded, last = 0, 0, -1, []
    if (table := open_table(paths, BATCHES)) is not None:
        sums = query(table, "SELECT count(*) AS n, sum(rejects) AS rejects, max(table_version) AS v FROM t")[0]
        total, rejects, folded = sums["n"], sums["rejects"] or 0, -1 if sums["v"] is None else sums["v"]
        columns = "batch_id, model_name, model_version, found_at, committed_at"
        last = query(table, f"SELECT {columns} FROM t ORDER BY table_version DESC LIMIT {LAST_BATCHES}")
    records = list(records_after(paths, scored, folded))
    last = [_row(record) for record in records] + last
    if not last:
        return {}, {}
    newest = {f.path: f.content for f in records[0].files} if records else {}
    if table is not None and not records:
        files = query(table, f"SELECT files FROM t WHERE table_version = {folded}")[0]["files"] or ()
        newest = {f["path"]: LandedFile(f["path"], f["size"], f["modified"], f["etag"] or "").content for f in files}
    at = last[0]["committed_at"]
    values = {
        "batches": total + len(records),
        "rejects": rejects + sum(record.rejects for record in records),
        "last_batch_id": last[0]["batch_id"],
        "last_batch_committed_at": at,
        "last_batch_seconds_ago": max(0.0, round((datetime.now(UTC) - at).total_seconds(), 3)),
        "model_name": last[0]["model_name"],
        "model_version": last[0]["model_version"],
    }
    return values | _latency(last[:LAST_BATCHES]), newest


def _row(record: BatchRecord) -> dict[str, Any]:
    return {
        "batch_id": record.batch_id,
        "model_name": record.model_name,
        "model_version": record.model_version,
        "found_at": None if record.found_at is None else datetime.fromtimestamp(record.found_at / 1e9, UTC),
        "committed_at": datetime.fromtimestamp(record.committed_at / 1e3, UTC),
    }


def _latency(rows: list[dict[str, Any]]) -> dict[str, Any]:
    times = sorted((r["committed_at"] - r["found_at"]).total_seconds() for r in rows if r["found_at"])
    if not times:
        return {}
    p50, p99 = (round(max(0.0, 1000 * times[round(q * (len(times) - 1))]), 1) for q in (0.5, 0.99))
    return {"landed_to_committed_p50_ms": p50, "landed_to_committed_p99_ms": p99, "measured_batches": len(times)}


def _quarantine(paths: StreamPaths) -> dict[str, Any]:
    """Entries of quarantine: all and those replayed from the parts' statistics, by reason from the parts."""
    table = open_table(paths, QUARANTINE)
    if table is None:
        return {}
    parts = table.get_add_actions(flatten=True)
    counts = [count or 0 for count in parts["num_records"].to_pylist()]
    told = set(parts.column_names)
    unset = parts["null_count.replayed_as"].to_pylist() if "null_count.replayed_as" in told else counts
    where = ""
    if len(counts) > REASON_PARTS and "max.quarantined_at" in told:
        since = sorted(at for at in parts["max.quarantined_at"].to_pylist() if at)[-REASON_PARTS]
        where = f"WHERE quarantined_at >= TIMESTAMP '{since:%Y-%m-%dT%H:%M:%S.%fZ}'"
    reasons = query(table, f"SELECT reason, count(*) AS n FROM t {where} GROUP BY reason ORDER BY n DESC, reason")
    return {
        "rejects": sum(counts),
        "rejects_by_reason": {row["reason"]: row["n"] for row in reasons},
        "rejects_replayed": sum(c - n for c, n in zip(counts, unset, strict=True) if n is not None),
    }


def _troubles(paths: StreamPaths) -> dict[str, Any]:
    """What the stream found wrong in the landing folder, as its checkpoint has it."""
    troubles = read_troubles(paths.checkpoint)
    first = troubles[0].detail if troubles else None
    return {"landing_troubles": dict(Counter(t.kind for t in troubles)), "first_landing_trouble": first}


def _count_rows(paths: StreamPaths, scored: str) -> int:
    table = open_table(paths, scored)
    if table is None:
        return 0
    if scored == FORECASTS:
        return query(table, "SELECT count(*) AS n FROM t WHERE step <= 1")[0]["n"]
    return sum(count or 0 for count in table.get_add_actions(flatten=True)["num_records"].to_pylist())


def _owner(paths: StreamPaths, scored: str) -> str | None:
    table = open_table(paths, scored)
    owner = Owner.of(table.metadata().configuration) if table is not None else None
    return str(owner) if owner else None


def _last_change(paths: StreamPaths) -> Change | None:
    table = open_table(paths, EVENTS)
    if table is None:
        return None
    columns = "kind, at, model_name, model_version, detail"
    rows = query(table, f"SELECT {columns} FROM t WHERE kind IN ('swapped', 'refused') ORDER BY at DESC LIMIT 1")
    return Change(**rows[0]) if rows else None


def _count_waiting(paths: StreamPaths, newest: dict[str, Content], endings: tuple[str, ...]) -> int | None:
    """Landed files that are not done, or done with another content; None without a landing folder."""
    done = {file.path: file.content for file in files_in_ledger(paths.checkpoint)} | newest
    try:
        return sum(done.get(file.path) != file.content for file in landed_files(paths.landing, endings=endings))
    except (FileNotFoundError, NotADirectoryError):
        return None
