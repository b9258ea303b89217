"""The commits of a table as observations, each whole, however many files it has."""

from collections.abc import Iterator

import pyarrow as pa
import structlog

from jobs.monitoring.alerts.observation import Observation
from streamscore.following.change import Change
from streamscore.following.cursor import Cursor
from streamscore.following.follower import TableFollower

log = structlog.get_logger()


def commits(follower: TableFollower, feed: str, table: str) -> Iterator[tuple[Observation | None, Cursor]]:
    """What is new in a table: each commit with the cursor after it; None in its place where one cannot be read.

    Args:
        table: what rules call it.

    Raises:
        StorageError: it cannot be read; follow it again from the last cursor.
    """
    parts: list[Change] = []
    for change in follower.poll():
        if parts and (change.gap or change.version != parts[0].version):  # its last files had no rows
            yield _whole(feed, table, parts)
            parts = []
        if change.gap:
            log.warning("gap", feed=feed, table=table, reason=change.gap.reason, detail=str(change.gap))
            yield None, change.cursor
            continue
        parts.append(change)
        if change.cursor.version > change.version:
            yield _whole(feed, table, parts)
            parts = []
    if parts:
        yield _whole(feed, table, parts)


def _whole(feed: str, table: str, parts: list[Change]) -> tuple[Observation, Cursor]:
    last = parts[-1]
    assert last.at is not None
    rows = pa.concat_tables([part.rows for part in parts])
    cursor = Cursor(last.cursor.table_id, max(last.cursor.version, last.version + 1))
    return Observation(feed, table, last.version, last.at, rows), cursor
