"""Candidates that are asked beside: from a queue of their own, in a thread of their own, for a part of the time.

What they say is logged beside the answer, and nobody waits for it.
"""

import asyncio
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import structlog

from jobs.serving.models.leases import holding_models
from jobs.serving.models.model_table import ModelTable
from jobs.serving.models.served_model import Answer, ServedModel, answer_all
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
        rows = record.given.count if record.given else 0
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
            if (self._waiting[0].shadow, self._waiting[0].params.text) != (first.shadow, first.params.text):
                break
            records.append(self._waiting.popleft())
        for record in records:
            self._rows -= record.given.count if record.given else 0
        if not self._waiting:
            self._some.clear()
        return records

    async def _ask(self, records: list[Record]) -> None:
        with holding_models():
            served = await self._table.get(records[0].shadow)
            if not isinstance(served, ServedModel):
                raise RequestError(409, "it forecasts series, wanted one of rows")
            answers, seconds = await asyncio.get_running_loop().run_in_executor(self._thread, _answers, served, records)
        for record, answer in zip(records, answers, strict=True):
            self._log.beside(
                replace(
                    record,
                    scored=scored_by(served, record.given, answer),
                    errors=tuple(answer.errors),
                    seconds=seconds / len(records),
                    detail="",
                    trial="shadow",
                )
            )
        self.counts["asked"] += len(records)


def _answers(served: ServedModel, records: list[Record]) -> tuple[list[Answer], float]:
    given = [record.given for record in records if record.given]
    model = served.model.with_params(records[0].params.values)
    begun = time.perf_counter()
    answers = answer_all(given, model, served.inputs)
    return answers, time.perf_counter() - begun
