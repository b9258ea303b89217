"""A status, printed."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.operations.status import Status

SHOWN_REASONS = 5


def show_status(status: Status, console: Console, as_json: bool) -> None:
    """Print a status: a few lines, or one JSON object with the fields of `Status`, times in ISO 8601."""
    if as_json:
        print(json.dumps(asdict(status), default=datetime.isoformat, indent=2), file=console.file)
        return
    if status.last_batch_id is None and not status.rows:
        console.print(
            f"{status.feed}: nothing streamed yet, no micro-batch in {status.tables}; "
            f"{status.files_waiting or 'no'} files wait in {status.landing}; next: streamscore run {status.feed}",
            markup=False,
            soft_wrap=True,
        )
        for name, value in _trouble_lines(status):
            console.print(f"{name}  {value}", markup=False, soft_wrap=True)
        return
    console.print(f"{status.feed}: {status.tables}", markup=False, soft_wrap=True)
    table = Table.grid("", "", padding=(0, 2))
    for name, value in _lines(status):
        table.add_row(name, Text(value))
    console.print(table)


def _lines(status: Status) -> Iterator[tuple[str, str]]:
    at, ago = status.last_batch_committed_at, status.last_batch_seconds_ago
    if at is not None and ago is not None:
        yield "last batch", f"{status.last_batch_id}, {_ago(ago)} ({_moment(at)})"
    waiting = status.files_waiting
    yield "files waiting", f"no folder {status.landing}" if waiting is None else f"{waiting:,}"
    yield "rows predicted", f"{status.rows:,}"
    reasons = list((status.rejects_by_reason or {}).items())
    top = ", ".join(f"{reason} {count:,}" for reason, count in reasons[:SHOWN_REASONS])
    more = f", {len(reasons) - SHOWN_REASONS} more" if len(reasons) > SHOWN_REASONS else ""
    yield "rejects", f"{status.rejects:,} ({status.reject_ratio or 0:.2%}){': ' if top else ''}{top}{more}"
    if status.rejects_replayed:
        yield "replayed", f"{status.rejects_replayed:,}"
    yield from _trouble_lines(status)
    routed = f"by the routes of '{status.routed_by}'" if status.routed_by else "unknown"
    yield "model", f"{status.model_name} v{status.model_version}" if status.model_name else routed
    if change := status.last_model_change:
        what = f"v{change.model_version} {change.kind} at {_moment(change.at)}"
        yield "last swap or refusal", f"{what}: {(change.detail or '').partition(chr(10))[0]}"
    if status.measured_batches:
        p50, p99 = status.landed_to_committed_p50_ms, status.landed_to_committed_p99_ms
        yield "landed to committed", f"p50 {p50:,.0f} ms, p99 {p99:,.0f} ms (last {status.measured_batches:,} batches)"
    if status.owner:
        yield "tables owned by", status.owner


def _trouble_lines(status: Status) -> Iterator[tuple[str, str]]:
    for kind, count in (status.landing_troubles or {}).items():
        yield kind.replace("_", " "), f"{count:,} in the landing folder"
    if status.first_landing_trouble:
        yield "such as", status.first_landing_trouble


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _ago(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
