"""Requests that wait while a model is busy are predicted together; no request waits for another to come."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from jobs.serving.models.statistics import Statistics
from jobs.serving.requests.problems import RequestError
from schemas.errors import StreamscoreError
from schemas.settings import Serving

WORTH_A_PAUSE = 0.005  # seconds that a call took
PAUSE = 0.25  # of them, between two calls; with 0.05, few of 16 callers are back in time

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


class Weight(NamedTuple):
    """How large a request is."""

    rows: int
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """The largest sum of weights.

    Attributes:
        call: in one call, unless one request alone is more.
        waiting: in the queue.
    """

    call: Weight
    waiting: Weight


def bounds_of(settings: Serving) -> Bounds:
    """As the settings have them."""
    return Bounds(
        Weight(settings.batch_rows, settings.batch_bytes), Weight(settings.waiting_rows, settings.waiting_bytes)
    )


class _Waiting(NamedTuple, Generic[Asked, Answered]):
    request: Asked
    weight: Weight
    answer: "asyncio.Future[Answered]"
    since: int


class Batcher(Generic[Asked, Answered]):
    """A queue in front of one function that answers many requests at once, in another thread, one call at a time.

    Args:
        answer: gives one answer for each request, in their order; an exception is the answer of that request. If it
            raises, it is asked for each half of the requests, and so on: who is to blame is alone in the end.
        pool: where it runs.
        weigh: how large a request is.
        bounds: of a call and of the queue.
        key: requests are answered in one call only if they have the same.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Asked]], Sequence[Answered | Exception]],
        pool: Executor,
        weigh: Callable[[Asked], Weight],
        bounds: Bounds,
        key: Callable[[Asked], Hashable] = lambda _: None,
    ) -> None:
        self._answer, self._pool, self._weigh, self._key = answer, pool, weigh, key
        self._call, self._most = bounds.call, bounds.waiting
        self._rows = self._bytes = 0  # that wait
        self._queues: OrderedDict[Hashable, deque[_Waiting[Asked, Answered]]] = OrderedDict()
        self._count = self._expected = 0  # requests that wait, and that may wait after a pause
        self._paused: asyncio.TimerHandle | None = None
        self._busy = False
        self._drained = asyncio.Event()
        self._drained.set()
        self.statistics = Statistics()

    async def ask(self, request: Asked) -> Answered:
        """The answer to a request.

        Raises:
            RequestError: too much is waiting (503), or the request alone is more than may ever wait (413).
            Exception: whatever the function has for this request.
        """
        weight = self._weigh(request)
        if weight.rows > self._most.rows:
            raise RequestError(413, f"{weight.rows:,} rows, wanted at most {self._most.rows:,}; send several requests")
        rows, size = self._rows + weight.rows, self._bytes + weight.bytes
        if self._queues and (rows > self._most.rows or size > self._most.bytes):
            raise RequestError(503, "too much is waiting for this model; try again", headers={"Retry-After": "1"})
        self._rows, self._bytes = rows, size
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        key = self._key(request)
        if (queue := self._queues.get(key)) is None:
            queue = self._queues[key] = deque()
        waiting = _Waiting(request, weight, future, time.perf_counter_ns())
        queue.append(waiting)
        self._count += 1
        if self._paused and self._count >= self._expected:
            self._paused.cancel()
            self._next()
        elif not self._busy:
            self._begin()
        try:
            return await future
        except asyncio.CancelledError:  # whoever asked has gone, and others may wait in that place
            self._leave(key, waiting)
            raise

    async def drain(self) -> None:
        """Return when nothing waits and nothing is being answered."""
        await self._drained.wait()

    def _begin(self) -> None:
        """Make a call in the next turn of the event loop: who came in the same one is among those that it answers."""
        self._busy = True
        self._drained.clear()
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._paused = None
        batch: list[_Waiting[Asked, Answered]] = []
        while self._queues and not batch:  # a queue may hold nobody but who has gone
            batch = self._take()
        self._busy = bool(batch)
        if not batch:
            self._drained.set()
            return
        now = time.perf_counter_ns()
        for one in batch:
            self.statistics.queue.add(now - one.since)
        answers = asyncio.get_running_loop().run_in_executor(self._pool, self._answers, [one.request for one in batch])
        answers.add_done_callback(lambda done: self._deliver(batch, now, done))

    def _take(self) -> "list[_Waiting[Asked, Answered]]":
        """The first of the key whose turn it is, as many as a call may have."""
        key, queue = next(iter(self._queues.items()))
        batch: list[_Waiting[Asked, Answered]] = []
        rows = size = 0
        while queue:
            weight = queue[0].weight
            if batch and (rows + weight.rows > self._call.rows or size + weight.bytes > self._call.bytes):
                break
            one = queue.popleft()
            self._rows -= weight.rows
            self._bytes -= weight.bytes
            self._count -= 1
            if not one.answer.cancelled():
                batch.append(one)
                rows, size = rows + weight.rows, size + weight.bytes
        if queue:
            self._queues.move_to_end(key)
        else:
            del self._queues[key]
        return batch

    def _leave(self, key: Hashable, waiting: "_Waiting[Asked, Answered]") -> None:
        """Give the room of a request back, unless it is being answered."""
        queue = self._queues.get(key, ())
        for at, one in enumerate(queue):
            if one is waiting:
                del queue[at]  # type: ignore[union-attr]
                self._rows -= one.weight.rows
                self._bytes -= one.weight.bytes
                self._count -= 1
                break
        if not queue:
            self._queues.pop(key, None)

    def _answers(self, requests: Sequence[Asked]) -> Sequence[Answered | Exception]:
        try:
            return self._answer(requests)
        except StreamscoreError as error:  # the model cannot be asked, whatever it is asked
            return [error] * len(requests)
        except Exception as error:
            if len(requests) == 1:
                return [error]
        middle = len(requests) // 2
        return [*self._answers(requests[:middle]), *self._answers(requests[middle:])]

    def _deliver(
        self,
        batch: "list[_Waiting[Asked, Answered]]",
        begun: int,
        done: "asyncio.Future[Sequence[Answered | Exception]]",
    ) -> None:
        self.statistics.called(sum(one.weight.rows for one in batch), time.perf_counter_ns() - begun)
        error = done.exception()
        answers: Sequence[Answered | BaseException] = [error] * len(batch) if error else done.result()
        for one, answer in zip(batch, answers, strict=True):
            if one.answer.done():
                continue
            if isinstance(answer, BaseException):
                one.answer.set_exception(answer)
            else:
                one.answer.set_result(answer)
        self._pause(len(batch), (time.perf_counter_ns() - begun) / 1e9)

    def _pause(self, answered: int, seconds: float) -> None:
        """Begin the next call: at once, or when all who were just answered may have come back to those who wait.

        Else callers who ask again and again would part for good in two groups, of which one waits for the other's call.
        """
        if answered < 2 or seconds < WORTH_A_PAUSE:
            self._next()
            return
        self._expected = answered + self._count
        self._paused = asyncio.get_running_loop().call_later(PAUSE * seconds, self._next)
