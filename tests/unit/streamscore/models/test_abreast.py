"""Several models for one user: loaded beside each other, whatever room there is."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from schemas.errors import ContractError
from streamscore.models.abreast import ABREAST, as_they_load
from streamscore.models.cache import Limits, Loaded, ModelCache, Reserve
from streamscore.models.lease import Lease

SIZE = 10


class Loads:
    """Loads names; some wait for a gate, some fail."""

    def __init__(self) -> None:
        self.running = self.most = 0
        self.lock, self.gate = threading.Lock(), threading.Event()
        self.gate.set()

    def __call__(self, key: str, reserve: Reserve) -> Loaded[str]:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            reserve(SIZE)
            if key.startswith("slow"):
                assert self.gate.wait(10)
            if key.startswith("bad"):
                msg = f"{key} does not fit"
                raise ContractError(msg)
            return Loaded(key.upper(), SIZE)
        finally:
            with self.lock:
                self.running -= 1


@pytest.fixture
def loads() -> Loads:
    return Loads()


def cache_of(loads: Loads, models: int = 100, size: int = 1000) -> ModelCache[str, Any]:
    return ModelCache(loads, Limits(models, size, patience=10))


def given(cache: ModelCache[str, Any], *wanted: str, failed: Any = None) -> Iterator[tuple[str, Any]]:
    def ask(key: str) -> "Future[Lease[Any]] | int":
        return 0 if key == "none" else cache.ask(key)

    return as_they_load(wanted, ask, failed)


@pytest.mark.parametrize(("models", "size"), [(100, 1000), (1, 1000), (2, 1000), (100, SIZE)])
def test_each_is_given_once_however_little_room_there_is(loads: Loads, models: int, size: int) -> None:
    names = [f"m{number}" for number in range(20)]
    found = dict(given(cache_of(loads, models, size), *names, "none"))
    assert found == {name: name.upper() for name in names} | {"none": 0}


def test_who_is_slow_to_load_stops_nobody(loads: Loads) -> None:
    loads.gate.clear()
    found = given(cache_of(loads), "slow", *(f"m{number}" for number in range(6)))
    assert {next(found)[0] for _ in range(6)} == {f"m{number}" for number in range(6)}
    loads.gate.set()
    assert [key for key, _ in found] == ["slow"]
    assert 1 < loads.most <= ABREAST


def test_what_fails_is_asked_again_or_ends_it(loads: Loads) -> None:
    cache, told = cache_of(loads), dict[str, str]()

    def ask(key: str) -> "Future[Lease[Any]] | str":
        return told.get(key) or cache.ask(key)

    def failed(key: str, error: Exception) -> None:
        told[key] = str(error)

    assert dict(as_they_load(["a", "bad"], ask, failed)) == {"a": "A", "bad": "bad does not fit"}

    def raises(_: str, error: Exception) -> None:
        raise error

    with pytest.raises(ContractError, match="bad does not fit"):
        list(as_they_load(["bad"], cache.ask, raises))


def test_models_that_were_used_are_free_to_go(loads: Loads) -> None:
    cache = cache_of(loads)
    for key, _ in given(cache, "a", "b"):
        assert key in cache
    for key in "ab":
        cache.drop(key)
    assert cache.size == 0
