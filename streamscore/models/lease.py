"""A model in memory, and the promise that it stays there while somebody uses it."""

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass(slots=True, eq=False)
class Entry(Generic[Value]):
    """A model in memory.

    Attributes:
        size: bytes.
        stays_until: it is not freed before, by the cache's clock.
        leases: how many use it.
        dropped: whether it leaves as soon as nobody uses it.
    """

    value: Value
    size: int
    stays_until: float
    used_at: float
    leases: int = 0
    pinned: bool = False
    dropped: bool = False


class Lease(Generic[Value]):
    """A model in use. It is not freed before `release`, or the end of a `with`; a lease that nobody holds ends, too."""

    __slots__ = ("_end", "_entry", "value")

    def __init__(self, entry: "Entry[Value]", end: "Callable[[Entry[Value]], None]") -> None:
        self.value = entry.value
        self._entry: Entry[Value] | None = entry
        self._end = end

    def release(self) -> None:
        """The model is not used any more; a second call does nothing."""
        entry, self._entry = self._entry, None
        if entry is not None:
            self._end(entry)

    def __enter__(self) -> Value:
        return self.value

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()

    def __del__(self) -> None:  # whoever asked has gone before the answer came
        self.release()
