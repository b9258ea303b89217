"""Models in memory: loaded once, bounded, and freed only when nobody uses them."""

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
import pytest

from schemas.errors import ContractError, ModelTooLargeError, NoRoomError, RegistryError
from streamscore.models.cache import RESIDENCE, Limits, Loaded, ModelCache, Reserve
from streamscore.models.failures import FIRST_WAIT, LONGEST_OUTAGE, LONGEST_WAIT, REMEMBERED, Failures

SIZE = 10


class Model:
    """What is held."""

    alive = 0

    def __init__(self, name: str) -> None:
        self.name = name
        Model.alive += 1

    def __del__(self) -> None:
        Model.alive -= 1


class Loads:
    """Loads models of `SIZE` bytes, or of the size in their name, and remembers which."""

    def __init__(self) -> None:
        self.of: list[str] = []
        self.running = self.most = 0
        self.gate = threading.Event()
        self.gate.set()
        self.error: BaseException | None = None
        self.seconds = 0.0
        self.lock = threading.Lock()

    def __call__(self, key: str, reserve: Reserve) -> Loaded[Model]:
        with self.lock:
            self.of.append(key)
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            size = int(key.partition("/")[2] or SIZE)
            reserve(size)
            assert self.gate.wait(10)
            time.sleep(self.seconds)
            if self.error:
                raise self.error
            return Loaded(Model(key), size)
        finally:
            with self.lock:
                self.running -= 1


class Clock:
    """Time that passes when the test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def residence(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """How long a model stays at least; not at all by default, as on a busy machine any load may take long."""

    def change(times: float) -> None:
        monkeypatch.setattr(f"{ModelCache.__module__}.RESIDENCE", times)

    change(0.0)
    return change


@pytest.fixture
def loads() -> Iterator[Loads]:
    Model.alive = 0
    made = Loads()
    yield made
    made.gate.set()


def cache_of(loads: Loads, models: int = 3, size: int = 1000, **more: Any) -> ModelCache[str, Model]:
    return ModelCache(loads, Limits(models, size, **({"patience": 1.0} | more)))


def use(cache: ModelCache[str, Model], *keys: str) -> None:
    for key in keys:
        with cache.lease(key) as model:
            assert model.name == key


def test_what_was_not_used_for_longest_goes_first(loads: Loads) -> None:
    cache = cache_of(loads)
    use(cache, "a", "b", "c", "a", "d", "a", "c")
    assert loads.of == ["a", "b", "c", "d"]
    assert set(cache.loaded()) == {"a", "c", "d"}
    assert (cache.counts.hits, cache.counts.misses, cache.counts.evictions, Model.alive) == (3, 4, 1, 3)


def test_a_thousand_who_ask_at_once_wait_for_one_load(loads: Loads) -> None:
    loads.gate.clear()
    cache = cache_of(loads)

    async def ask() -> str:
        with await asyncio.wrap_future(cache.ask("a")) as model:
            return model.name

    async def all_at_once() -> list[str]:
        asking = [asyncio.create_task(ask()) for _ in range(1000)]
        await asyncio.sleep(0.05)
        loads.gate.set()
        return await asyncio.gather(*asking)

    assert asyncio.run(all_at_once()) == ["a"] * 1000
    assert loads.of == ["a"]


def test_other_models_load_while_one_takes_its_time(loads: Loads) -> None:
    loads.gate.clear()
    cache = cache_of(loads, models=30)
    asked = [cache.ask(key) for key in "abcdefghij"]
    until = time.monotonic() + 5
    while loads.running < 4 and time.monotonic() < until:
        time.sleep(0.01)
    assert loads.running == 4
    loads.gate.set()
    wait(asked, 5)
    assert sorted(loads.of) == list("abcdefghij")
    assert loads.most == 4


def test_nothing_in_use_is_freed(loads: Loads) -> None:
    cache = cache_of(loads, models=1)
    with cache.lease("a") as a:
        with pytest.raises(NoRoomError) as error:
            cache.lease("b")
        assert error.value.retry_seconds >= 1
        assert a.name == "a"
        assert set(cache.loaded()) == {"a"}
    use(cache, "b")
    assert set(cache.loaded()) == {"b"}
    del a
    assert Model.alive == 1


def test_who_waits_for_room_gets_it_when_a_model_is_not_used_any_more(loads: Loads) -> None:
    cache = cache_of(loads, models=1, patience=5.0)
    lease = cache.lease("a")
    asked = cache.ask("b")
    time.sleep(0.05)
    lease.release()
    lease.release()
    with asked.result(2) as model:
        assert model.name == "b"


def test_a_model_that_is_dropped_in_use_counts_until_it_is_not(loads: Loads) -> None:
    cache = cache_of(loads, size=2 * SIZE)
    lease = cache.lease("a")
    cache.drop("a")
    assert "a" not in cache
    assert cache.size == SIZE
    with pytest.raises(NoRoomError):
        cache.lease("b/20")
    assert lease.value.name == "a"
    lease.release()
    assert cache.size == 0
    use(cache, "b/20")


def test_room_is_made_only_if_that_makes_enough(loads: Loads) -> None:
    cache = cache_of(loads, models=10, size=100)
    use(cache, "a", "b", "c", "d")
    with cache.lease("big/60"):
        with pytest.raises(NoRoomError):
            cache.lease("e/50")
        assert set(cache.loaded()) == {"a", "b", "c", "d", "big/60"}
    use(cache, "e/50")
    assert set(cache.loaded()) == {"e/50"} | ({"d", "c", "b", "a"} & set(cache.loaded()))
    assert cache.size <= 100


def test_a_model_that_can_never_fit_is_refused_at_once_and_frees_nothing(loads: Loads) -> None:
    cache = cache_of(loads, size=100, patience=60.0)
    use(cache, "a", "b")
    cache.pin("a")
    began = time.monotonic()
    for _ in range(3):
        with pytest.raises(ModelTooLargeError, match="91 bytes, and 90 bytes and 2 places are left"):
            cache.lease("big/91")
    assert time.monotonic() - began < 10
    assert loads.of == ["a", "b", "big/91"]
    assert set(cache.loaded()) == {"a", "b"}
    assert ModelTooLargeError.http_status == 507


def test_the_size_that_was_measured_counts(loads: Loads) -> None:
    def larger(key: str, reserve: Reserve) -> Loaded[Model]:
        reserve(1)
        return Loaded(Model(key), 60)

    cache = ModelCache[str, Model](larger, Limits(10, 100, patience=0.05))
    use(cache, "a", "b")
    assert set(cache.loaded()) == {"b"}
    assert cache.size == 60


def test_a_pinned_model_stays(loads: Loads) -> None:
    cache = cache_of(loads, models=2)
    use(cache, "a")
    cache.pin("a")
    use(cache, "b", "c", "d")
    assert set(cache.loaded()) == {"a", "d"}
    cache.pin("a", pinned=False)
    use(cache, "e", "f")
    assert set(cache.loaded()) == {"e", "f"}


def test_where_all_places_are_pinned_no_other_model_has_one(loads: Loads) -> None:
    cache = cache_of(loads, models=1)
    use(cache, "a")
    cache.pin("a")
    with pytest.raises(ModelTooLargeError, match="0 places"):
        cache.lease("b")


def test_a_model_stays_ten_times_as_long_as_it_took_to_load(loads: Loads, residence: Callable[[float], None]) -> None:
    residence(RESIDENCE)
    cache = cache_of(loads, models=1, patience=0.01)
    loads.seconds = 0.05
    use(cache, "a")
    loads.seconds = 0.0
    with pytest.raises(NoRoomError) as error:
        cache.lease("b")
    assert set(cache.loaded()) == {"a"}
    time.sleep(error.value.retry_seconds)
    use(cache, "b")


def test_one_model_more_than_there_is_room_for_ends_in_bounded_time(
    loads: Loads, residence: Callable[[float], None]
) -> None:
    """Working set = capacity + 1: a few misses, no mass eviction, no hang, no livelock."""
    residence(RESIDENCE)
    loads.seconds = 0.002
    cache = cache_of(loads, models=3, patience=5.0)
    answered: list[str] = []

    def ask(key: str) -> None:
        for _ in range(10):
            with cache.lease(key) as model:
                answered.append(model.name)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(ask, key) for key in "abcd"]:
            done.result(20)
    assert sorted(set(answered)) == list("abcd")
    assert len(answered) == 40
    assert cache.counts.evictions < 40
    assert len(cache.loaded()) <= 3


def test_a_failure_is_remembered_and_tried_again_later_and_later(loads: Loads) -> None:
    clock = Clock()
    cache = ModelCache[str, Model](loads, Limits(3, 100, patience=0.0), clock)
    loads.error = ContractError("broken")
    for tries, wait_seconds in enumerate((1, 2, 4, 8), 1):
        for _ in range(3):
            with pytest.raises(ContractError, match="broken"):
                cache.lease("a")
        assert len(loads.of) == tries
        clock.now += wait_seconds
    use_now, loads.error = cache, None
    use(use_now, "a")
    use(use_now, "b")
    loads.error = ContractError("broken")
    cache.drop("a")
    with pytest.raises(ContractError):
        cache.lease("a")
    cache.retry("a")
    loads.error = None
    use(cache, "a")


def test_an_outage_is_waited_for_less_long_than_a_broken_model() -> None:
    clock = Clock()
    failures = Failures[str](clock)
    for _ in range(20):
        failures.remember("broken", ContractError("x"))
        failures.remember("away", RegistryError("x"))
    clock.now += LONGEST_OUTAGE
    assert failures.get("away") is None
    assert failures.get("broken")
    clock.now += LONGEST_WAIT - LONGEST_OUTAGE
    assert failures.get("broken") is None
    assert FIRST_WAIT < LONGEST_OUTAGE < LONGEST_WAIT


def test_failures_are_not_remembered_without_end() -> None:
    failures = Failures[str]()
    for number in range(3 * REMEMBERED):
        failures.remember(str(number), ContractError("x"))
    assert failures.get("0") is None
    assert failures.get(str(3 * REMEMBERED - 1))


def test_an_error_does_not_grow_with_those_who_hear_of_it(loads: Loads) -> None:
    loads.error = ContractError("broken")
    cache = cache_of(loads)
    depths = []
    for _ in range(5):
        with pytest.raises(ContractError) as error:
            cache.lease("a")
        depth, at = 0, error.value.__traceback__
        while at:
            depth, at = depth + 1, at.tb_next
        depths.append(depth)
    assert len(set(depths[1:])) == 1


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), MemoryError()])
def test_whatever_a_load_raises_nobody_waits_for_ever(loads: Loads, error: BaseException) -> None:
    loads.error = error
    cache = cache_of(loads)
    with pytest.raises((RuntimeError, MemoryError)):
        cache.ask("a").result(2)
    assert cache.size == 0


def test_who_has_gone_before_the_model_came_holds_no_lease(loads: Loads) -> None:
    loads.gate.clear()
    cache = cache_of(loads, models=1, patience=60)  # it stays ten times as long as the gate was closed

    async def go_away() -> None:
        asking = [asyncio.create_task(asyncio.wait_for(asyncio.wrap_future(cache.ask("a")), 0.02)) for _ in range(50)]
        await asyncio.gather(*asking, return_exceptions=True)
        loads.gate.set()

    asyncio.run(go_away())
    forgotten: Future[Any] = cache.ask("a")
    forgotten.result(2)
    del forgotten
    gc.collect()
    use(cache, "b")
    assert set(cache.loaded()) == {"b"}


def test_what_nobody_waits_for_when_its_turn_comes_is_not_loaded(loads: Loads) -> None:
    loads.gate.clear()
    cache = ModelCache[str, Model](loads, Limits(3, 1000, loads=1))
    first, gone = cache.ask("a"), cache.ask("b")
    assert gone.cancel()
    loads.gate.set()
    first.result(2).release()
    use(cache, "c")
    assert (set(cache.loaded()), cache.counts.loads) == ({"a", "c"}, 2)
    use(cache, "b")  # whoever asks again gets it
    assert cache.counts.loads == 3


@pytest.mark.repeats
def test_many_threads_and_little_room_keep_the_account(loads: Loads) -> None:
    loads.seconds = 0.0005
    cache = cache_of(loads, models=6, size=70, patience=5.0)
    keys = [f"{name}/{size}" for name, size in zip("abcdefghijkl", (5, 10, 15, 20) * 3, strict=True)]
    over: list[int] = []

    def ask(seed: int) -> int:
        random = np.random.default_rng(seed)
        refused = 0
        for key in random.choice(keys, 150):
            try:
                with cache.lease(str(key)) as model:
                    assert model.name == key
                    over.append(cache.size)
            except NoRoomError:
                refused += 1
            if random.random() < 0.02:
                cache.drop(str(key))
        return refused

    with ThreadPoolExecutor(8) as pool:
        refused = sum(pool.map(ask, range(8)))
    assert max(over) <= 70
    assert refused < 100
    held = cache.loaded()
    assert cache.size == sum(int(key.partition("/")[2]) for key in held) <= 70
    count = len(held)
    held.clear()
    assert Model.alive == count <= 6


@pytest.mark.repeats
def test_the_hit_rate_is_that_of_an_ideal_lru(loads: Loads) -> None:
    """10,000 models of which 200 fit, asked for as Zipf's law has it."""
    ranks = np.arange(1, 10_001)
    shares = ranks**-1.1
    keys = np.random.default_rng(1).choice(ranks, 20_000, p=shares / shares.sum())
    ideal: dict[int, None] = {}
    hits = 0
    for key in keys.tolist():
        hits += key in ideal
        ideal.pop(key, None)
        ideal[key] = None
        if len(ideal) > 200:
            del ideal[next(iter(ideal))]
    cache = cache_of(loads, models=200, size=10**6, patience=2.0)
    for key in keys.tolist():
        cache.lease(str(key)).release()
    assert cache.counts.hits / len(keys) >= hits / len(keys) - 0.02
