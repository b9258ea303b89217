"""The spool into the tables: what storage refuses stays on disk, and is tried again."""

import contextlib
import time
from collections.abc import Callable

import structlog

from jobs.serving.request_log.spool import Segment, Spool
from jobs.serving.request_log.table import RequestsTable
from schemas.errors import StreamscoreError
from schemas.settings import Settings
from schemas.tables import REQUESTS
from streamscore.storage.places import place

log = structlog.get_logger()

MOST = 100  # segments in one commit
RETRY_SECONDS = 2.0
SYNC_SECONDS = 60.0  # between two syncs of a table's file system, after which its spooled segments may go
WARN_SECONDS = 60.0


class SpoolWriter:
    """Commits what spools hold. For one thread.

    Args:
        committed: called with the feed of each commit.
    """

    def __init__(self, settings: Settings, committed: Callable[[str], None]) -> None:
        self._settings, self._committed = settings, committed
        self._tables: dict[str, RequestsTable] = {}
        self._retry: dict[str, float] = {}  # when a table that failed is tried again
        self._warned: dict[str, float] = {}
        self._safe: list[tuple[RequestsTable, Spool, list[Segment]]] = []
        self._synced = time.monotonic()

    def write(self, spool: Spool) -> bool:
        """Commit what waits, for each table by itself; whether nothing waits any more."""
        for feed, numbers in spool.waiting().items():
            if time.monotonic() >= self._retry.get(feed, 0.0):
                self._write_table(feed, numbers, spool)
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self.make_safe()
        return not spool.waiting()

    def make_safe(self) -> None:
        """Sync the tables, and free the room of what was committed."""
        self._synced = time.monotonic()
        done, self._safe = self._safe, []
        synced: set[str] = set()
        for table, spool, segments in done:
            with contextlib.suppress(OSError, StreamscoreError):
                if table.uri not in synced:
                    table.sync()
                    synced.add(table.uri)
                spool.delete(segments)

    def _write_table(self, feed: str, numbers: list[int], spool: Spool) -> None:
        table = self._tables.get(feed)
        try:
            if table is None:
                uri = f"{place(self._settings.tables.path, feed)}/{REQUESTS}"
                table = self._tables[feed] = RequestsTable(uri, self._settings.storage)
            for start in range(0, len(numbers), MOST):
                some = [spool.read(number) for number in numbers[start : start + MOST]]
                table.commit(some, spool)
                spool.logged(some)
                self._committed(feed)
                if table.is_remote:
                    spool.delete(some)
                else:
                    self._safe.append((table, spool, some))
        except Exception as error:  # the next try may find it mended; until then requests stay on disk
            self._retry[feed] = time.monotonic() + RETRY_SECONDS
            if time.monotonic() - self._warned.get(feed, -WARN_SECONDS) >= WARN_SECONDS:
                self._warned[feed] = time.monotonic()
                log.warning("requests_wait", feed=feed, segments=len(numbers), detail=str(error).splitlines()[0])
