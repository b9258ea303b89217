"""How many requests were answered, and what became of them: counts in a file that is mapped into memory.

The system keeps what was written to it when the process is killed, so that the next one knows of the requests that were
in the memory of the last. A count is added to by one thread each.
"""

import mmap
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ACCOUNT = "account"
_ANSWERED, _SAMPLED_OUT, _NO_ROOM, _SPOOLED, _NOT_SPOOLED, _LOGGED = range(6)
_BYTES = 8 * 6


@dataclass(frozen=True, slots=True)
class Balance:
    """What became of requests: `answered = logged + sampled_out + lost + waiting`.

    Attributes:
        answered: with whatever status.
        logged: in a table.
        sampled_out: left out by `request_log.share`.
        lost: no room in memory or on disk, or in the memory of a process that was killed.
    """

    answered: int = 0
    logged: int = 0
    sampled_out: int = 0
    lost: int = 0

    @property
    def waiting(self) -> int:
        """In memory or in the spool."""
        return self.answered - self.logged - self.sampled_out - self.lost

    @classmethod
    def of(cls, several: "Iterable[Balance]") -> "Balance":
        """The sum."""
        sums = [(one.answered, one.logged, one.sampled_out, one.lost) for one in several]
        return cls(*map(sum, zip(*sums, strict=True))) if sums else cls()


class Account:
    """The counts of one spool."""

    def __init__(self, folder: Path) -> None:
        handle = os.open(folder / ACCOUNT, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.ftruncate(handle, _BYTES)
            self._counts = memoryview(mmap.mmap(handle, _BYTES)).cast("q")
        finally:
            os.close(handle)

    def answer(self) -> int:
        """One more request is answered; gives its number, from 1."""
        self._counts[_ANSWERED] += 1
        return self._counts[_ANSWERED]

    def sample_out(self) -> None:
        """The last one is not to be logged."""
        self._counts[_SAMPLED_OUT] += 1

    def lose(self) -> None:
        """There is no room for the last one."""
        self._counts[_NO_ROOM] += 1

    def spool(self, requests: int) -> None:
        """So many are on disk."""
        self._counts[_SPOOLED] += requests

    def lose_on_disk(self, requests: int) -> None:
        """There is no room on disk for so many."""
        self._counts[_NOT_SPOOLED] += requests

    def log(self, requests: int) -> None:
        """So many are in a table."""
        self._counts[_LOGGED] += requests

    @property
    def spooled(self) -> int:
        """How many were ever put on disk."""
        return self._counts[_SPOOLED]

    def begin(self, spooled: int, waiting: int) -> int:
        """Count what the last process had in memory as lost; gives their number.

        Args:
            spooled: at least so many were put on disk, as the spool says; the process may not have come to count them.
            waiting: of them are in no table.
        """
        counts = self._counts
        counts[_SPOOLED] = max(counts[_SPOOLED], spooled)
        counts[_LOGGED] = counts[_SPOOLED] - waiting
        known = counts[_SAMPLED_OUT] + counts[_NO_ROOM] + counts[_NOT_SPOOLED] + counts[_SPOOLED]
        gone = max(0, counts[_ANSWERED] - known)
        counts[_NOT_SPOOLED] += gone
        return gone

    @property
    def balance(self) -> Balance:
        return _balance(self._counts)


def read_balance(folder: Path) -> Balance:
    """The counts of a spool that another process may have; zeros where there are none."""
    try:
        data = (folder / ACCOUNT).read_bytes()
    except OSError:
        return Balance()
    return _balance(memoryview(data).cast("q")) if len(data) == _BYTES else Balance()


def _balance(counts: "memoryview[int]") -> Balance:
    lost = counts[_NO_ROOM] + counts[_NOT_SPOOLED]
    return Balance(counts[_ANSWERED], counts[_LOGGED], counts[_SAMPLED_OUT], lost)
