"""Requests that wait while a model is busy are predicted together; no request waits for another to come."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

from jobs.serving.requests.problems import RequestError

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


class Batcher(Generic[Asked, Answered]):
    """A queue in front of one function that answers many requests at once, in another thread, one call at a time.

    Args:
        answer: gives one answer for each request, in their order; an exception is the answer of that request.
        pool: where it runs.
        weight: how large a request is.
        most: the largest sum of weights in a call, unless one request alone is more.
        waiting: the largest sum of weights in the queue.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Asked]], Sequence[Answered | Exception]],
        pool: Executor,
        weight: Callable[[Asked], int],
        most: int,
        waiting: int,
    ) -> None:
        self._answer, self._pool, self._weight = answer, pool, weight
        self._most, self._room = most, waiting
        self._waiting: deque[tuple[Asked, asyncio.Future[Answered]]] = deque()
        self._busy = False
        self._drained = asyncio.Event()
        self._drained.set()

    async def ask(self, request: Asked) -> Answered:
        """The answer to a request.

        Raises:
            RequestError: too much is waiting (503).
            Exception: whatever the function has for this request.
        """
        weight = self._weight(request)
        if self._waiting and weight > self._room:
            raise RequestError(503, "too many rows are waiting for this model; try again", headers={"Retry-After": "1"})
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._room -= weight
        self._waiting.append((request, future))
        if not self._busy:
            self._next()
        return await future

    async def drain(self) -> None:
        """Return when nothing waits and nothing is being answered."""
        await self._drained.wait()

    def _next(self) -> None:
        batch: list[tuple[Asked, asyncio.Future[Answered]]] = []
        rows = 0
        while self._waiting:
            request, future = self._waiting[0]
            weight = self._weight(request)
            if batch and rows + weight > self._most:
                break
            self._waiting.popleft()
            self._room += weight
            if not future.cancelled():  # whoever asked has gone
                batch.append((request, future))
                rows += weight
        self._busy = bool(batch)
        if not batch:
            self._drained.set()
            return
        self._drained.clear()
        answers = asyncio.get_running_loop().run_in_executor(self._pool, self._answer, [r for r, _ in batch])
        answers.add_done_callback(lambda done: self._deliver([f for _, f in batch], done))

    def _deliver(
        self, futures: "list[asyncio.Future[Answered]]", done: "asyncio.Future[Sequence[Answered | Exception]]"
    ) -> None:
        error = done.exception()
        answers: Sequence[Answered | BaseException] = [error] * len(futures) if error else done.result()
        for future, answer in zip(futures, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        self._next()
