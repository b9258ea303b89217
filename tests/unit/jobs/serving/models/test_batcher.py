"""What waits is answered together; a lone request waits for nobody."""

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jobs.serving.models.batcher import Batcher, Bounds, Weight
from jobs.serving.requests.problems import RequestError
from schemas.errors import RegistryError


class Held:
    """Answers with the sum of a request, when it may."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.may = threading.Event()

    def answer(self, requests: Sequence[int]) -> list[int | Exception]:
        self.may.wait(10)
        self.calls.append(list(requests))
        return [ValueError(str(r)) if r < 0 else r + 1 for r in requests]


def batcher(held: Held, most: int = 100, waiting: int = 1000, parity: bool = False) -> "Batcher[int, int]":
    """Of requests that weigh what they ask; those of another parity have another key, if that is wanted."""
    bounds = Bounds(Weight(most, 1000), Weight(waiting, 10_000))
    return Batcher(
        held.answer, ThreadPoolExecutor(1), lambda n: Weight(abs(n), 100 * abs(n)), bounds, lambda n: parity and n % 2
    )


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
    assert held.calls == [[1, 6], [4, 5], [30], [1]]


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


def test_what_has_another_key_is_answered_in_another_call_and_nobody_waits_for_ever() -> None:
    held = Held()

    async def scenario() -> list[int]:
        asked = batcher(held, most=6, parity=True)
        waiting = [asyncio.ensure_future(asked.ask(n)) for n in (1, 2, 3, 4, 5, 2, 1)]
        await asyncio.sleep(0)
        held.may.set()
        return list(await asyncio.gather(*waiting))

    assert asyncio.run(scenario()) == [2, 3, 4, 5, 6, 3, 2]
    assert held.calls == [[1, 3], [2, 4], [5, 1], [2]]


def test_a_call_is_bounded_in_bytes_too() -> None:
    held = Held()

    async def scenario() -> None:
        asked = batcher(held, most=10_000)
        waiting = [asyncio.ensure_future(asked.ask(n)) for n in (1, 6, 4, 5, 50)]
        await asyncio.sleep(0)
        with pytest.raises(RequestError, match="too much is waiting"):
            await asked.ask(60)
        held.may.set()
        await asyncio.gather(*waiting)

    asyncio.run(scenario())
    assert held.calls == [[1, 6], [4, 5], [50]]


def test_a_call_that_raises_is_split_until_who_is_to_blame_is_alone() -> None:
    calls: list[list[int]] = []

    def answer(requests: Sequence[int]) -> list[int | Exception]:
        calls.append(list(requests))
        if 13 in requests:
            msg = "thirteen"
            raise ValueError(msg)
        return [request + 1 for request in requests]

    async def scenario() -> list[int | BaseException]:
        bounds = Bounds(Weight(10_000), Weight(10_000))
        asked = Batcher(answer, ThreadPoolExecutor(1), lambda n: Weight(1), bounds)
        waiting = [asked.ask(n) for n in (1, 2, 3, 13, 5, 6, 7, 8)]
        return await asyncio.gather(*waiting, return_exceptions=True)

    found = asyncio.run(scenario())
    assert [one for one in found if isinstance(one, int)] == [2, 3, 4, 6, 7, 8, 9]
    assert [str(one) for one in found if isinstance(one, Exception)] == ["thirteen"]
    assert [len(call) for call in calls] == [8, 4, 2, 2, 1, 1, 4]


def test_a_model_that_cannot_be_asked_is_not_asked_again_for_each_request() -> None:
    calls: list[int] = []

    def answer(requests: Sequence[int]) -> list[int | Exception]:
        calls.append(len(requests))
        msg = "its process does not start"
        raise RegistryError(msg)

    async def scenario() -> list[int | BaseException]:
        asked = Batcher(answer, ThreadPoolExecutor(1), lambda n: Weight(1), Bounds(Weight(10), Weight(10)))
        return await asyncio.gather(*(asked.ask(n) for n in range(5)), return_exceptions=True)

    assert [type(one) for one in asyncio.run(scenario())] == [RegistryError] * 5
    assert calls == [5]


def test_the_statistics_are_those_of_what_was_asked() -> None:
    held = Held()
    held.may.set()

    async def scenario() -> "Batcher[int, int]":
        asked = Batcher(held.answer, ThreadPoolExecutor(1), Weight, Bounds(Weight(100), Weight(100)))
        await asyncio.gather(*(asked.ask(n) for n in (3, 40, 50)))
        return asked

    found = asyncio.run(scenario()).statistics.to_json("m", "1")
    assert (found["name"], found["version"], found["execution_count"]) == ("m", "1", 1)
    assert found["inference_stats"]["queue"]["count"] == 3
    sizes = [(batch["batch_size"], batch["compute_infer"]["count"]) for batch in found["batch_stats"]]
    assert sizes == [(128, 1)]  # of more than 64 rows the next power of two
    assert found["inference_stats"]["compute_infer"]["ns"] > 0


def test_who_goes_away_gives_the_room_back_while_the_model_is_busy() -> None:
    """Clients that time out leave nothing behind for those that come later."""
    held = Held()

    async def scenario() -> int:
        asked = batcher(held, waiting=20)
        first = asyncio.ensure_future(asked.ask(1))
        await asyncio.sleep(0)
        for _ in range(50):
            gone = [asyncio.ensure_future(asked.ask(5)) for _ in range(4)]
            await asyncio.sleep(0)
            with pytest.raises(RequestError, match="too much is waiting"):
                await asked.ask(5)
            for one in gone:
                one.cancel()
            await asyncio.gather(*gone, return_exceptions=True)
        good = asyncio.ensure_future(asked.ask(20))
        await asyncio.sleep(0)
        held.may.set()
        await first
        await asked.drain()
        return await good

    assert asyncio.run(scenario()) == 21
    assert held.calls == [[1], [20]]


def test_a_request_of_more_rows_than_may_ever_wait_is_refused_for_good() -> None:
    held = Held()
    held.may.set()

    async def scenario() -> None:
        asked = batcher(held, waiting=20)
        with pytest.raises(RequestError, match="21 rows, wanted at most 20") as error:
            await asked.ask(21)
        assert error.value.status == 413
        assert await asked.ask(20) == 21

    asyncio.run(scenario())


def test_a_lone_request_is_handed_on_at_once() -> None:
    class Pool(ThreadPoolExecutor):
        handed = 0

        def submit(self, *call: Any, **named: Any) -> Any:
            self.handed += 1
            return super().submit(*call, **named)

    async def scenario(pool: Pool) -> None:
        asked = Batcher(lambda requests: [n + 1 for n in requests], pool, Weight, Bounds(Weight(9), Weight(9)))
        for number in range(3):
            answer = asyncio.ensure_future(asked.ask(number))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert pool.handed == number + 1  # in the next turn of the loop, before anything else could happen
            assert await answer == number + 1

    asyncio.run(scenario(Pool(1)))


def test_callers_who_ask_again_and_again_share_their_calls() -> None:
    calls: list[int] = []

    def slow(requests: Sequence[int]) -> list[int | Exception]:
        calls.append(len(requests))
        time.sleep(0.05)
        return list(requests)

    async def scenario() -> None:
        bounds = Bounds(Weight(100, 1000), Weight(1000, 10_000))
        asked = Batcher(slow, ThreadPoolExecutor(1), lambda _: Weight(1), bounds)

        async def caller() -> None:
            for _ in range(10):
                assert await asked.ask(1) == 1

        await asyncio.gather(*(caller() for _ in range(8)))

    asyncio.run(scenario())
    assert sum(calls) == 80
    assert len(calls) <= 13  # not 20: one, seven, one, seven


def test_callers_who_came_in_two_groups_become_one() -> None:
    calls: list[int] = []

    def slow(requests: Sequence[int]) -> list[int | Exception]:
        calls.append(len(requests))
        time.sleep(0.1)
        return list(requests)

    async def scenario() -> None:
        asked = Batcher(slow, ThreadPoolExecutor(1), lambda _: Weight(1), Bounds(Weight(100), Weight(100)))

        async def caller(late: float) -> None:
            await asyncio.sleep(late)
            for _ in range(5):
                assert await asked.ask(1) == 1
                await asyncio.sleep(0.002)

        await asyncio.gather(*(caller(0.05 * (number % 2)) for number in range(8)))

    asyncio.run(scenario())
    assert sum(calls) == 40
    assert len(calls) <= 8, calls  # not 10 of four each: those of a call are back before the next one begins


def test_who_comes_at_once_is_answered_in_one_call() -> None:
    held = Held()
    held.may.set()

    async def scenario() -> list[int]:
        asked = batcher(held)
        return list(await asyncio.gather(*(asked.ask(n) for n in range(4))))

    assert asyncio.run(scenario()) == list(range(1, 5))
    assert held.calls == [list(range(4))]
