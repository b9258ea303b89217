"""The models in memory: loaded at first use, bounded by count and by bytes, freed only when nobody uses them."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from schemas.errors import ModelTooLargeError, NoRoomError
from streamscore.models.failures import Failures
from streamscore.models.lease import Entry, Lease

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

RESIDENCE = 10.0  # how many times as long as its load took a model stays at least: then loads take a tenth of the time


@dataclass(frozen=True, slots=True)
class Loaded(Generic[Value]):
    """What a load gave.

    Attributes:
        size: the memory that it takes, in bytes.
    """

    value: Value
    size: int


Reserve = Callable[[int], None]
Load = Callable[[Key, Reserve], Loaded[Value]]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be in memory.

    Attributes:
        models: how many.
        size: bytes of all of them.
        loads: how many are loaded at once.
        patience: seconds that a load waits for room.
        block: of the settings, which an error names.
    """

    models: int
    size: int
    loads: int = 4
    patience: float = 2.0
    block: str = "serving"


@dataclass(slots=True)
class Counts:
    """What happened since the start, for metrics.

    Attributes:
        load_seconds: of all loads.
        last_age: seconds since the last use of what was evicted last; small where too much is asked of too little room.
    """

    hits: int = 0
    misses: int = 0
    loads: int = 0
    failures: int = 0
    evictions: int = 0
    load_seconds: float = 0.0
    last_age: float = 0.0


@dataclass(slots=True)
class _Loading(Generic[Value]):
    waiters: "list[Future[Lease[Value]]]" = field(default_factory=list)
    reserved: int | None = None  # bytes; None while it waits for its turn
    waited: float = 0.0  # seconds, for room


class ModelCache(Generic[Key, Value]):
    """Models by key; for many threads.

    A key is loaded once however many wait for it, several keys at once; one for which nobody waits any
    more when its turn comes is not loaded. What was not used for longest goes first; what is in use, pinned, or was
    loaded a moment ago does not go. Room is made only if that makes enough.

    Args:
        load: gives the model of a key. It should call its second argument with the bytes that the model will take, as
            soon as it knows them: that makes room, or raises.
    """

    def __init__(self, load: Load[Key, Value], limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._load, self._limits, self._clock = load, limits, clock
        self._changed = threading.Condition()
        self._entries: OrderedDict[Key, Entry[Value]] = OrderedDict()
        self._loading: dict[Key, _Loading[Value]] = {}
        self._failures: Failures[Key] = Failures(clock)
        self._leaving: list[Entry[Value]] = []  # dropped, and still in use
        self._loaders = ThreadPoolExecutor(limits.loads, "load")
        self.counts = Counts()

    def get(self, key: Key) -> Lease[Value] | None:
        """The model of a key if it is in memory; never waits."""
        with self._changed:
            if (entry := self._entries.get(key)) is None:
                return None
            self.counts.hits += 1
            return self._leased(key, entry)

    def ask(self, key: Key) -> "Future[Lease[Value]]":
        """The model of a key, loaded if it is not in memory.

        Raises (the future):
            ModelTooLargeError: it is larger than the room that there can be.
            NoRoomError: all models in memory are in use.
            Exception: what loading raised, now or, until it is time to try again, before.
        """
        future: Future[Lease[Value]] = Future()
        with self._changed:
            if lease := self.get(key):
                future.set_result(lease)
            elif error := self._failures.get(key):
                future.set_exception(error)
            else:
                self.counts.misses += 1
                if (loading := self._loading.get(key)) is None:
                    loading = self._loading[key] = _Loading()
                    self._loaders.submit(self._fill, key, loading)
                loading.waiters.append(future)
        return future

    def lease(self, key: Key) -> Lease[Value]:
        """As `ask`, for those who may wait."""
        return self.ask(key).result()

    def pin(self, key: Key, pinned: bool = True) -> None:
        """Keep a model that is in memory there, or no longer."""
        with self._changed:
            if entry := self._entries.get(key):
                entry.pinned = pinned
                self._changed.notify_all()

    def drop(self, key: Key) -> None:
        """Free a model as soon as nobody uses it."""
        with self._changed:
            if entry := self._entries.pop(key, None):
                entry.dropped = True
                if entry.leases:
                    self._leaving.append(entry)
                self._changed.notify_all()

    def retry(self, key: Key) -> None:
        """Forget that a key could not be loaded."""
        with self._changed:
            self._failures.forget(key)

    def __contains__(self, key: Key) -> bool:
        with self._changed:
            return key in self._entries

    def loaded(self) -> dict[Key, Value]:
        """What is in memory."""
        with self._changed:
            return {key: entry.value for key, entry in self._entries.items()}

    @property
    def size(self) -> int:
        """Bytes of all that is in memory, or is being loaded."""
        with self._changed:
            held = sum(entry.size for entry in (*self._entries.values(), *self._leaving))
            return held + sum(loading.reserved or 0 for loading in self._loading.values())

    def close(self) -> None:
        """Load nothing more."""
        self._loaders.shutdown(wait=False, cancel_futures=True)

    def _leased(self, key: Key, entry: Entry[Value]) -> Lease[Value]:
        entry.leases += 1
        entry.used_at = self._clock()
        self._entries.move_to_end(key)
        return Lease(entry, self._release)

    def _release(self, entry: Entry[Value]) -> None:
        with self._changed:
            entry.leases -= 1
            if entry.leases == 0:
                if entry.dropped:
                    self._leaving.remove(entry)
                self._changed.notify_all()

    def _fill(self, key: Key, loading: _Loading[Value]) -> None:
        with self._changed:
            if all(waiter.cancelled() for waiter in loading.waiters):  # they went while this waited for its turn
                del self._loading[key]
                return
        began = self._clock()
        try:
            self._make_room(loading, 0)
            loaded = self._load(key, lambda size: self._make_room(loading, size))
            self._make_room(loading, loaded.size)
        except BaseException as error:  # a model's code may even leave with sys.exit
            self._fail(key, loading, error if isinstance(error, Exception) else RuntimeError(repr(error)))
            return
        now = self._clock()
        entry = Entry(loaded.value, loaded.size, now + RESIDENCE * (now - began - loading.waited), now)
        with self._changed:
            del self._loading[key]
            self._failures.forget(key)
            self.counts.loads += 1
            self.counts.load_seconds += now - began
            self._entries[key] = entry
            given = [(f, self._leased(key, entry)) for f in loading.waiters if f.set_running_or_notify_cancel()]
        del entry, loaded
        for future, lease in given:
            future.set_result(lease)

    def _fail(self, key: Key, loading: _Loading[Value], error: Exception) -> None:
        with self._changed:
            del self._loading[key]
            self.counts.failures += 1
            if not isinstance(error, NoRoomError):  # that says of the others, not of this one
                self._failures.remember(key, error)
            self._changed.notify_all()
        for future in loading.waiters:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)

    def _make_room(self, loading: _Loading[Value], size: int) -> None:
        """Reserve room for a model that is being loaded, in place of what was reserved for it before."""
        began = self._clock()
        freed: list[Entry[Value]] = []  # they go when nobody waits for this lock
        with self._changed:
            while not self._fits(loading, size, freed):
                left = began + self._limits.patience - self._clock()
                seconds = self._next_room() - self._clock()
                if left <= 0:
                    msg = f"all {len(self._entries)} models in memory are in use or were loaded a moment ago; try again"
                    raise NoRoomError(msg, max(1.0, seconds))
                self._changed.wait(min(left, max(0.01, seconds)))
            loading.reserved = size
            loading.waited += self._clock() - began

    def _fits(self, loading: _Loading[Value], size: int, freed: list[Entry[Value]]) -> bool:
        """Whether there is room now, made by freeing what may go if that makes enough.

        Raises:
            ModelTooLargeError: there is none, even with all that is not pinned freed.
        """
        pinned = [entry.size for entry in self._entries.values() if entry.pinned]
        most = self._limits.size - sum(pinned)
        if size > most or len(pinned) >= self._limits.models:
            msg = (
                f"it takes {size:,} bytes, and {max(0, most):,} bytes and {self._limits.models - len(pinned)} places "
                f"are left for models; raise {self._limits.block}.max_model_bytes or {self._limits.block}.max_models"
            )
            raise ModelTooLargeError(msg)
        begun = sum(one is loading or one.reserved is not None for one in self._loading.values())
        count = len(self._entries) + len(self._leaving) + begun - self._limits.models
        over = self.size - (loading.reserved or 0) + size - self._limits.size
        now = self._clock()
        may_go = (
            (key, entry)
            for key, entry in self._entries.items()
            if not entry.leases and not entry.pinned and entry.stays_until <= now
        )
        victims: list[Key] = []
        while (over > 0 or count > 0) and (victim := next(may_go, None)):
            victims.append(victim[0])
            over, count = over - victim[1].size, count - 1
        if over > 0 or count > 0:
            return False
        for key in victims:
            freed.append(entry := self._entries.pop(key))
            self.counts.evictions += 1
            self.counts.last_age = now - entry.used_at
        return True

    def _next_room(self) -> float:
        """When the next model may go that nobody uses."""
        now = self._clock()
        waiting = [e.stays_until for e in self._entries.values() if not e.leases and not e.pinned]
        return min((at for at in waiting if at > now), default=now + self._limits.patience)
