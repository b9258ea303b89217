"""`streamscore status`: what a feed's stream has done, from its tables and ledger alone.

No Spark, no MLflow, no pyarrow: `deltalake` answers in SQL, so that the command takes under a second.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes

from rich.console import Console
from rich.table import Table

from jobs.streaming.batch import Record
from jobs.streaming.landing import ENDINGS, HIDDEN
from schemas.errors import StorageError
from schemas.feed import Feed
from schemas.settings import Settings
from schemas.tables import BATCHES, EVENTS, PREDICTIONS, QUARANTINE

if TYPE_CHECKING:
    from deltalake import DeltaTable

LAST_BATCHES = 1000  # of which the latency is told
# Parts in which reasons are counted, the newest first: 0.3 ms each, and nothing makes the many parts of quarantine few.
REASON_PARTS = 1000
SHOWN_REASONS = 5


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
        rows: in predictions.
        rejects: rows refused, a refused file's rows included as far as they could be counted.
        rejects_by_reason: entries of quarantine, most first; of its newest parts only, if it has very many.
        rejects_replayed: entries of quarantine that were landed again.
        model_name, model_version: of the last micro-batch.
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
    model_name: str | None = None
    model_version: str | None = None
    last_model_change: Change | None = None
    landed_to_committed_p50_ms: float | None = None
    landed_to_committed_p99_ms: float | None = None
    measured_batches: int = 0


def read_status(feed: Feed, settings: Settings) -> Status:
    """The status of a feed's stream; of one that never ran, an empty one.

    Raises:
        StorageError: a table is there and cannot be read.
    """
    landing, tables, checkpoint = (
        Path(given.format(feed=feed.name)).absolute()
        for given in (settings.landing, settings.tables.path, settings.checkpoint)
    )
    from deltalake.exceptions import DeltaError

    try:
        batches, newest = _batches(tables)
        values = _quarantine(tables) | batches  # what was folded knows of refused files how many rows they had
        rows, rejects = _count_rows(tables), values.get("rejects", 0)
        return Status(
            feed.name,
            str(landing),
            str(tables),
            files_waiting=_count_waiting(landing, read_ledger(checkpoint) | newest),
            rows=rows,
            reject_ratio=rejects / (rows + rejects) if rows + rejects else None,
            last_model_change=_last_change(tables),
            **values,
        )
    except (DeltaError, OSError) as error:
        said = str(error).partition("\n")[0]
        raise StorageError(
            f"cannot read {tables} or {landing}: {said}; look: streamscore doctor {feed.name}"
        ) from error


def open_table(path: Path) -> "DeltaTable | None":
    """A Delta table; null if there is none."""
    from deltalake import DeltaTable

    return DeltaTable(path) if DeltaTable.is_deltatable(str(path)) else None


def query(table: "DeltaTable", sql: str) -> list[dict[str, Any]]:
    """The rows that a SELECT gives; the table is called `t` in it."""
    from deltalake import QueryBuilder

    rows = QueryBuilder().register("t", table).execute(sql).read_all().to_struct_array()
    return [rows[i].as_py() for i in range(len(rows))]


def read_ledger(checkpoint: Path) -> dict[str, tuple[int, int, str]]:
    """URI → content of every file whose micro-batch is done; a line that is torn is passed over."""
    seen = {}
    try:
        lines = (checkpoint / "ledger.jsonl").read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    for line in lines:
        try:
            files = json.loads(line)["files"]
        except (ValueError, KeyError, TypeError):
            continue
        for file in files:
            seen[file["path"]] = file["size"], file["modified"], file["etag"]
    return seen


def show_status(status: Status, console: Console, as_json: bool) -> None:
    """Print a status: a few lines, or one JSON object with the fields of `Status` and times in ISO 8601."""
    if as_json:
        print(json.dumps(asdict(status), default=datetime.isoformat, indent=2), file=console.file)
        return
    if status.last_batch_id is None and not status.rows:
        waiting = f"{status.files_waiting:,} files wait" if status.files_waiting else "no files wait"
        console.print(
            f"{status.feed}: nothing streamed yet, no micro-batch in {status.tables}; {waiting} in {status.landing}; "
            f"next: streamscore run {status.feed}",
            markup=False,
            soft_wrap=True,
        )
        return
    table = Table.grid("", "", padding=(0, 2))
    for name, value in _lines(status):
        table.add_row(name, value)
    console.print(f"{status.feed}: {status.tables}", markup=False, soft_wrap=True)
    console.print(table, markup=False)


def _batches(tables: Path) -> tuple[dict[str, Any], dict[str, tuple[int, int, str]]]:
    """What all micro-batches come to, and the files of the newest: the ledger is one behind.

    From `batches`, and for what is not folded into it yet from the commits of predictions.
    """
    total, rejects, folded, last = 0, 0, -1, []
    if (table := open_table(tables / BATCHES)) is not None:
        sums = query(table, "SELECT count(*) AS n, sum(rejects) AS rejects, max(table_version) AS v FROM t")[0]
        total, rejects, folded = sums["n"], sums["rejects"] or 0, -1 if sums["v"] is None else sums["v"]
        columns = "batch_id, model_name, model_version, found_at, committed_at"
        last = query(table, f"SELECT {columns} FROM t ORDER BY table_version DESC LIMIT {LAST_BATCHES}")
    records = list(_unfolded(tables, folded))
    last = [_row(record) for record in records] + last
    if not last:
        return {}, {}
    if records:
        files = {f.path: f.content for f in records[0].files}
    else:
        newest = query(table, f"SELECT files FROM t WHERE table_version = {folded}") if table else []
        files = {f["path"]: (f["size"], f["modified"], f["etag"]) for f in newest[0]["files"] or ()}
    at = last[0]["committed_at"]
    return {
        "batches": total + len(records),
        "rejects": rejects + sum(record.rejects for record in records),
        "last_batch_id": last[0]["batch_id"],
        "last_batch_committed_at": at,
        "last_batch_seconds_ago": max(0.0, round((datetime.now(UTC) - at).total_seconds(), 3)),
        "model_name": last[0]["model_name"],
        "model_version": last[0]["model_version"],
    } | _latency(last[:LAST_BATCHES]), files


def _unfolded(tables: Path, folded: int) -> Iterator[Record]:
    """The records of predictions commits after a version, newest first."""
    table = open_table(tables / PREDICTIONS)
    missing = table.version() - folded if table is not None else 0
    for commit in table.history(missing) if table is not None and missing > 0 else ():
        record = Record.from_json(commit.get("userMetadata"), commit["version"], commit.get("timestamp", 0))
        if record is not None and commit["version"] > folded:
            yield record


def _row(record: Record) -> dict[str, Any]:
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


def _quarantine(tables: Path) -> dict[str, Any]:
    """Entries of quarantine: all and those replayed from the parts' statistics, by reason from the parts."""
    table = open_table(tables / QUARANTINE)
    if table is None:
        return {}
    parts = table.get_add_actions(flatten=True)
    counts, names = parts["num_records"].to_pylist(), parts.column_names
    unset = parts["null_count.replayed_as"].to_pylist() if "null_count.replayed_as" in names else counts
    where = ""
    if len(counts) > REASON_PARTS and "min.batch_id" in names:
        first = sorted((b or 0 for b in parts["min.batch_id"].to_pylist()), reverse=True)[REASON_PARTS]
        where = f"WHERE batch_id > {first}"
    reasons = query(table, f"SELECT reason, count(*) AS n FROM t {where} GROUP BY reason ORDER BY n DESC, reason")
    return {
        "rejects": sum(count or 0 for count in counts),
        "rejects_by_reason": {row["reason"]: row["n"] for row in reasons},
        "rejects_replayed": sum((c or 0) - (c or 0 if u is None else u) for c, u in zip(counts, unset, strict=True)),
    }


def _count_rows(tables: Path) -> int:
    table = open_table(tables / PREDICTIONS)
    counts = table.get_add_actions(flatten=True)["num_records"].to_pylist() if table is not None else []
    return sum(count or 0 for count in counts)


def _last_change(tables: Path) -> Change | None:
    table = open_table(tables / EVENTS)
    if table is None:
        return None
    columns = "kind, at, model_name, model_version, detail"
    rows = query(table, f"SELECT {columns} FROM t WHERE kind IN ('swapped', 'refused') ORDER BY at DESC LIMIT 1")
    return Change(**rows[0]) if rows else None


def _count_waiting(landing: Path, done: Mapping[str, tuple[int, int, str]]) -> int | None:
    """Landed files that are not done, or done with another content; null without a landing folder."""
    if not landing.is_dir():
        return None
    return sum(1 for uri, content in _landed(os.fsencode(landing)) if done.get(uri, ("",))[:2] != content)


def _landed(folder: bytes) -> Iterator[tuple[str, tuple[int, int]]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = os.fsdecode(entry.name)
            if name.startswith(HIDDEN):
                continue
            if entry.is_dir():
                yield from _landed(entry.path)
            elif name.lower().endswith(ENDINGS):
                with contextlib.suppress(FileNotFoundError):  # cleaned up since
                    stat = entry.stat()
                    yield f"file://{quote_from_bytes(entry.path)}", (stat.st_size, stat.st_mtime_ns)


def _lines(status: Status) -> Iterator[tuple[str, str]]:
    at = status.last_batch_committed_at
    if at is not None and status.last_batch_seconds_ago is not None:
        yield "last batch", f"{status.last_batch_id}, {_ago(status.last_batch_seconds_ago)} ({_moment(at)})"
    waiting = status.files_waiting
    yield "files waiting", f"{waiting:,}" if waiting is not None else f"no folder {status.landing}"
    yield "rows predicted", f"{status.rows:,}"
    reasons = list((status.rejects_by_reason or {}).items())
    top = ", ".join(f"{reason} {count:,}" for reason, count in reasons[:SHOWN_REASONS])
    more = f", {len(reasons) - SHOWN_REASONS} more" if len(reasons) > SHOWN_REASONS else ""
    yield "rejects", f"{status.rejects:,} ({status.reject_ratio or 0:.2%}){': ' if top else ''}{top}{more}"
    if status.rejects_replayed:
        yield "replayed", f"{status.rejects_replayed:,}"
    yield "model", f"{status.model_name} v{status.model_version}" if status.model_name else "unknown"
    if change := status.last_model_change:
        what = f"v{change.model_version} {change.kind} at {_moment(change.at)}"
        yield "last swap or refusal", f"{what}: {(change.detail or '').partition(chr(10))[0]}"
    if status.measured_batches:
        p50, p99 = status.landed_to_committed_p50_ms, status.landed_to_committed_p99_ms
        yield "landed to committed", f"p50 {p50:,.0f} ms, p99 {p99:,.0f} ms (last {status.measured_batches:,} batches)"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _ago(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
