"""A line in the log for a request that failed; the table of requests has all the others."""

import time

import structlog

from jobs.serving.request_log.record import Record

log = structlog.get_logger()

A_SECOND = 10  # lines; the rest is counted in the next one


class FailureLines:
    """Lines for requests that were answered with a status from 500 on."""

    def __init__(self) -> None:
        self._second, self._lines, self._passed_over = 0, 0, 0

    def answered(self, record: Record) -> None:
        """Look at a request that is done."""
        if record.status < 500:
            return
        if (now := int(time.monotonic())) != self._second:
            self._second, self._lines = now, 0
        self._lines += 1
        if self._lines > A_SECOND:
            self._passed_over += 1
            return
        version = record.scored.version.title if record.scored else None
        said = {"request_id": record.identity, "route": record.route, "status": record.status, "model": version}
        said |= {"passed_over": self._passed_over} if self._passed_over else {}
        self._passed_over = 0
        log.warning("request_failed", seconds=round(record.seconds, 4), detail=record.detail, **said)
