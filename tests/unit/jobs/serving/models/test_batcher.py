"""What waits is answered together; a lone request waits for nobody."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobs.serving.models.batcher import Batcher
from jobs.serving.requests.problems import RequestError


class Held:
    """Answers with the sum of a request, when it may."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.may = threading.Event()

    def answer(self, requests: Sequence[int]) -> list[int | Exception]:
        self.may.wait(10)
        self.calls.append(list(requests))
        return [ValueError(str(r)) if r < 0 else r + 1 for r in requests]


def batcher(held: Held, most: int = 100, waiting: int = 1000) -> "Batcher[int, int]":
    return Batcher(held.answer, ThreadPoolExecutor(1), abs, most, waiting)


def test_what_comes_while_the_model_is_busy_is_answered_in_one_call() -> None:
    held = Held()

    async def scenario() -> list[int]:
        asked = batcher(held)
        first = asyncio.ensure_future(asked.ask(1))
        await asyncio.sleep(0)
        more = [asyncio.ensure_future(asked.ask(n)) for n in (2, 3, 4)]
        await asyncio.sleep(0)
        held.may.set()
        return list(await asyncio.gather(first, *more))

    assert asyncio.run(scenario()) == [2, 3, 4, 5]
    assert held.calls == [[1], [2, 3, 4]]


def test_a_call_is_bounded_and_a_larger_request_goes_alone() -> None:
    held = Held()

    async def scenario() -> None:
        asked = batcher(held, most=10)
        waiting = [asyncio.ensure_future(asked.ask(n)) for n in (1, 6, 4, 5, 30, 1)]
        await asyncio.sleep(0)
        held.may.set()
        await asyncio.gather(*waiting)
        await asked.drain()

    asyncio.run(scenario())
    assert held.calls == [[1], [6, 4], [5], [30], [1]]


def test_an_error_is_of_its_request_alone() -> None:
    held = Held()
    held.may.set()

    async def scenario() -> list[int | BaseException]:
        asked = batcher(held)
        return await asyncio.gather(*(asked.ask(n) for n in (1, -2, 3)), return_exceptions=True)

    first, second, third = asyncio.run(scenario())
    assert (first, str(second), third) == (2, "-2", 4)


def test_more_than_may_wait_is_told_to_try_again_and_all_is_free_afterwards() -> None:
    held = Held()

    async def scenario() -> None:
        asked = batcher(held, waiting=10)
        busy = asyncio.ensure_future(asked.ask(5))
        await asyncio.sleep(0)
        waits = asyncio.ensure_future(asked.ask(9))
        await asyncio.sleep(0)
        with pytest.raises(RequestError) as error:
            await asked.ask(5)
        assert (error.value.status, error.value.headers) == (503, {"Retry-After": "1"})
        held.may.set()
        assert (await busy, await waits) == (6, 10)
        assert await asked.ask(9) == 10

    asyncio.run(scenario())


def test_who_has_gone_is_not_answered_and_holds_nobody_up() -> None:
    held = Held()

    async def scenario() -> int:
        asked = batcher(held)
        busy = asyncio.ensure_future(asked.ask(1))
        await asyncio.sleep(0)
        gone = asyncio.ensure_future(asked.ask(2))
        stays = asyncio.ensure_future(asked.ask(3))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        held.may.set()
        await busy
        return await stays

    assert asyncio.run(scenario()) == 4
    assert held.calls == [[1], [3]]
