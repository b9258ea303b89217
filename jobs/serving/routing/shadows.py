"""Candidates that are asked beside: from a queue of their own, in a thread of their own, for a part of the time.

What they say is logged beside the answer, and nobody waits for it.
"""

import asyncio
import functools
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import structlog

from jobs.serving.models.leases import holding_models
from jobs.serving.models.load import Served
from jobs.serving.models.model_table import ModelTable
from jobs.serving.models.served_model import answer_all
from jobs.serving.models.served_series import ServedSeries, forecast_ahead
from jobs.serving.request_log.log import RequestLog
from jobs.serving.request_log.record import Record, scored_by
from jobs.serving.requests.problems import RequestError
from schemas.settings import Routing

log = structlog.get_logger()

MOST_REQUESTS = 256  # in one call


class Shadows:
    """The requests that a shadow is to be asked for, of one event loop.

    Attributes:
        counts: requests by what became of them: `asked`, `failed`, or `passed_over` as too many waited.
    """

    def __init__(self, table: ModelTable, requests: RequestLog, settings: Routing) -> None:
        self._table, self._log, self._settings = table, requests, settings
        self._waiting: deque[Record] = deque()
        self._rows = 0
        self._thread = ThreadPoolExecutor(1, "shadow")
        self._some = asyncio.Event()
        self.counts: Counter[str] = Counter()

    def done(self, record: Record) -> None:
        """Take a request in that was answered, and logged."""
        if not record.shadow or not record.is_kept or record.status >= 400 or not record.scored:
            return
        rows = _rows(record)
        if not rows or self._rows + rows > self._settings.shadow_rows:
            self.counts["passed_over"] += bool(rows)
            return
        self._rows += rows
        self._waiting.append(record)
        self._some.set()

    async def run(self) -> None:
        """Ask for what waits; for ever."""
        while True:
            await self._some.wait()
            records = self._next()
            begun = time.perf_counter()
            try:
                await self._ask(records)
            except RequestError as error:
                self.counts["failed"] += len(records)
                log.warning("shadow_not_asked", model=records[0].shadow, detail=error.detail)
            except Exception:
                self.counts["failed"] += len(records)
                log.exception("shadow_failed", model=records[0].shadow)
            # the rest of the time is for those who wait for an answer
            await asyncio.sleep((time.perf_counter() - begun) * (1 / self._settings.shadow_share - 1))

    def _next(self) -> list[Record]:
        """Some that want the same candidate with the same parameters."""
        records = [self._waiting.popleft()]
        first = records[0]
        while self._waiting and len(records) < MOST_REQUESTS:
            if _kind(self._waiting[0]) != _kind(first):
                break
            records.append(self._waiting.popleft())
        self._rows -= sum(map(_rows, records))
        if not self._waiting:
            self._some.clear()
        return records

    async def _ask(self, records: list[Record]) -> None:
        with holding_models():
            served = await self._table.get(records[0].shadow)
            if isinstance(served, ServedSeries) != (records[0].series is not None):
                raise RequestError(409, "it is not of the kind of the model that answers: one of rows, one of series")
            ask = functools.partial(_asked, served, records)
            asked = await asyncio.get_running_loop().run_in_executor(self._thread, ask)
        for record in asked:
            self._log.beside(record)
        self.counts["asked"] += len(records)


def _rows(record: Record) -> int:
    asked = record.given or record.series
    return asked.count if asked else 0


def _kind(record: Record) -> tuple[str, bytes, bool]:
    return record.shadow, record.params.text, record.series is None


def _asked(served: Served, records: list[Record]) -> list[Record]:
    """The requests as the candidate answers them."""
    begun = time.perf_counter()
    if isinstance(served, ServedSeries):
        found = [_ahead(served, record) for record in records]
    else:
        model = served.model.with_params(records[0].params.values)
        answers = answer_all([record.given for record in records if record.given], model, served.inputs)
        found = [
            replace(record, scored=scored_by(served, record.given, answer), errors=tuple(answer.errors), detail="")
            for record, answer in zip(records, answers, strict=True)
        ]
    seconds = (time.perf_counter() - begun) / len(records)
    return [replace(record, seconds=seconds, trial="shadow", body=b"", series=None) for record in found]


def _ahead(served: ServedSeries, record: Record) -> Record:
    assert record.series
    try:
        ahead = forecast_ahead(record.series, served.model, served.inputs)
    except RequestError as error:
        return replace(record, scored=scored_by(served), errors=tuple(error.errors), detail=error.detail)
    return replace(record, scored=scored_by(served, answer=ahead), detail="")
