"""The requests that are not on disk yet: one thread puts, one takes, and neither waits for the other."""

import threading
from collections import deque

from jobs.serving.request_log.record import Record

MOST_VALUES = 2_000_000  # in memory: about 100 MB of Python's numbers and text


class RecordQueue:
    """First in, first out; bounded by what the requests keep in memory."""

    def __init__(self, most: int = MOST_VALUES) -> None:
        self._most = most
        self._records: deque[tuple[Record, int]] = deque()
        self._put = self._taken = 0  # each is written by one thread
        self._some = threading.Event()

    def put(self, record: Record) -> bool:
        """Take a request in; False if there is no room for it."""
        weight = record.weight
        if self._records and self._put - self._taken + weight > self._most:
            return False
        self._put += weight
        self._records.append((record, weight))
        if not self._some.is_set():
            self._some.set()
        return True

    def take(self, most: int) -> list[Record]:
        """The oldest requests; none if there are none."""
        taken = [self._records.popleft() for _ in range(min(most, len(self._records)))]
        self._taken += sum(weight for _, weight in taken)
        return [record for record, _ in taken]

    @property
    def size(self) -> int:
        """How many requests there are."""
        return len(self._records)

    def wait(self, seconds: float) -> None:
        """Return when there is a request, after `wake`, or after so long."""
        self._some.wait(seconds)
        self._some.clear()

    def wake(self) -> None:
        """Let the one who waits look."""
        self._some.set()
