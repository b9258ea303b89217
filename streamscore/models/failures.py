"""What could not be loaded, and when it is worth to try again."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

FIRST_WAIT = 1.0  # seconds between two tries; each wait is twice the last
LONGEST_WAIT = 300.0
LONGEST_OUTAGE = 30.0  # the longest wait where trying again can help
REMEMBERED = 1000  # keys


@dataclass(slots=True)
class _Failure:
    error: Exception
    until: float
    wait: float


class Failures(Generic[Key]):
    """The newest failure of each key. Whoever asks between two tries hears of it at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._of: OrderedDict[Key, _Failure] = OrderedDict()

    def get(self, key: Key) -> Exception | None:
        """Why a key is not tried now; None if it may be."""
        failure = self._of.get(key)
        if failure is None or self._clock() >= failure.until:
            return None
        return failure.error.with_traceback(None)  # else it grows with each who hears of it

    def remember(self, key: Key, error: Exception, longest: float | None = None) -> None:
        """A try failed.

        Args:
            longest: seconds to the next try at most.
        """
        before = self._of.pop(key, None)
        most = longest or (LONGEST_OUTAGE if getattr(error, "can_retry", False) else LONGEST_WAIT)
        wait = min(2 * before.wait if before else FIRST_WAIT, most)
        self._of[key] = _Failure(error, self._clock() + wait, wait)
        while len(self._of) > REMEMBERED:
            self._of.popitem(last=False)

    def forget(self, key: Key) -> None:
        """A key may be tried."""
        self._of.pop(key, None)
