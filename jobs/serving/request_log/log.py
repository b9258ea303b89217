"""The log of one process: requests in, from the event loop; two threads take them to disk, and into the tables."""

import random
import threading
import time
from dataclasses import replace
from pathlib import Path

import structlog

from jobs.serving.request_log.account import Balance
from jobs.serving.request_log.queue import RecordQueue
from jobs.serving.request_log.record import Record
from jobs.serving.request_log.rows import LogRows, joined, log_rows
from jobs.serving.request_log.spool import left_spools, take_spool
from jobs.serving.request_log.upkeep import Upkeep
from jobs.serving.request_log.write import SpoolWriter
from schemas.errors import StorageError
from schemas.settings import Settings

log = structlog.get_logger()

SPOOL_SECONDS = 0.3  # that requests are collected for one segment
STEP_SECONDS, STEP_REQUESTS = 0.02, 128  # made rows of at once: the event loop waits for Python's lock 1 ms at most
WRITE_SECONDS = 1.0  # between two looks at what waits, where nothing new comes
STOP_SECONDS = 10.0  # for the last commits; what is left is for the next start


class RequestLog:
    """Requests on their way into `requests`. `done` is for the event loop, and never waits.

    Attributes:
        began: what the spool had counted before this process began; what it finds lost is not in it.
    """

    def __init__(self, settings: Settings) -> None:
        """Take a spool.

        Raises:
            StorageError: there is no room for one.
        """
        wanted = settings.request_log
        self._share, self._leave_out = wanted.share, frozenset(wanted.leave_out)
        root = Path(wanted.spool).absolute()
        try:
            self.spool = take_spool(root, wanted.spool_bytes)
            self._left = left_spools(root, settings.serving.workers, wanted.spool_bytes)
        except OSError as error:
            msg = f"request_log.spool {root}: {error.strerror or error}, wanted a folder to write to; choose another"
            raise StorageError(msg) from error
        if self.spool.lost:
            log.warning("requests_lost", requests=self.spool.lost, detail="they were in memory when the process ended")
        now = self.spool.account.balance
        self.began = replace(now, lost=now.lost - self.spool.lost)
        self._account, self._queue = self.spool.account, RecordQueue()
        self._upkeep = Upkeep(settings)
        self._writer = SpoolWriter(settings, self._upkeep.committed)
        self._stopping, self._spooled = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=run, name=f"requests-{run.__name__.strip('_')}", daemon=True)
            for run in (self._fill, self._empty)
        ]

    def start(self) -> None:
        """Begin to take requests in."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Put what is there on disk, and into the tables if they are there."""
        self._stopping.set()
        self._queue.wake()
        self._threads[0].join()
        self._spooled.set()
        self._threads[1].join(STOP_SECONDS)
        if not self._threads[1].is_alive():
            self.spool.release()

    def done(self, record: Record) -> None:
        """A request is answered, refused or failed."""
        record.number = self._account.answer()
        record.sampling = self._share
        if self._share < 1 and random.random() >= self._share:
            self._account.sample_out()
        elif self._queue.put(record):
            record.is_kept = True
        else:
            self._account.lose()

    def beside(self, record: Record) -> None:
        """What a shadow made of a request that is done; nothing if that is not logged."""
        self._queue.put(record)

    @property
    def balance(self) -> Balance:
        """What became of the requests of this spool."""
        return self._account.balance

    def _fill(self) -> None:
        """From memory to disk."""
        while not self._stopping.is_set() or self._queue.size:
            self._queue.wait(WRITE_SECONDS)
            self._put(self._collected())
            self._spooled.set()

    def _collected(self) -> list[LogRows]:
        """The rows of what comes in the next moments."""
        until, found = time.monotonic() + SPOOL_SECONDS, list[LogRows]()
        while True:
            records = self._queue.take(STEP_REQUESTS)
            if records:
                found += self._rows(records)
            if time.monotonic() >= until or (not records and self._stopping.is_set()):
                break
            time.sleep(STEP_SECONDS)
        if self._queue.size:
            self._queue.wake()
        by_schema: dict[object, list[LogRows]] = {}
        for one in found:
            by_schema.setdefault((one.feed, one.rows.schema), []).append(one)
        return [joined(some) for some in by_schema.values()]

    def _rows(self, records: list[Record]) -> list[LogRows]:
        try:
            return log_rows(records, self.spool.app_id, self._leave_out)
        except Exception:  # the log must not end by one of them
            log.exception("requests_not_logged", requests=len(records))
            self._account.lose_on_disk(sum(record.trial != "shadow" for record in records))
            return []

    def _put(self, several: list[LogRows]) -> None:
        for of in several:
            try:
                kept, why = self.spool.put(of), "request_log.spool_bytes is used up"
            except Exception as error:  # of the disk; the log must not end by any
                kept, why = False, str(error)
            if not kept:
                self._account.lose_on_disk(of.requests)
                log.warning("requests_lost", requests=of.requests, detail=why)

    def _empty(self) -> None:
        """From disk into the tables."""
        while not self._stopping.is_set() or self._threads[0].is_alive():
            self._spooled.wait(WRITE_SECONDS)
            self._spooled.clear()
            self._write()
            self._upkeep.look()
        self._upkeep.stop()
        self._write()
        self._writer.make_safe()

    def _write(self) -> None:
        self._writer.write(self.spool)
        for spool in list(self._left):
            if self._writer.write(spool):
                self._left.remove(spool)
                self._writer.make_safe()
                spool.release()
