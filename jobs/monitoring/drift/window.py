"""How long a window is, and which rows make one."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from schemas.errors import SettingsError
from streamscore.statistics.verdict import MIN_FILES, MIN_ROWS

MICROSECONDS = {"m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}


@dataclass(frozen=True, slots=True)
class WindowLength:
    """A number of rows, or a time; one of them is 0.

    Attributes:
        text: as given, and as the tables have it.
        microseconds: windows begin at multiples of it since 1970, UTC.
    """

    text: str
    rows: int = 0
    microseconds: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """`1000`, `30m`, `1h`, `1d`.

        Raises:
            SettingsError: it is none of these, or a window of fewer than 100 rows.
        """
        found = re.fullmatch(r"([1-9]\d{0,8})([mhd]?)", text)
        if found and found[2]:
            return cls(text, microseconds=int(found[1]) * MICROSECONDS[found[2]])
        if found and int(found[1]) >= MIN_ROWS:
            return cls(text, rows=int(found[1]))
        msg = f"--window {text}: wanted at least {MIN_ROWS} rows, or minutes, hours or days, as 1000, 30m, 1h or 1d"
        raise SettingsError(msg)


def closed_windows(times: np.ndarray, files: np.ndarray, length: WindowLength, newest: int) -> Iterator[slice]:
    """The rows of each window that no later row will join, oldest first; those of the open one are left.

    A window has at least 100 rows from at least 5 files, and goes on until it has. It ends where a time does: of rows
    with one time all are in it, so that what comes later changes no window.

    Args:
        times: of the rows, microseconds since 1970, ascending.
        files: a number for the file of each row.
        newest: the time of the newest row of all; only periods before that one's are over.
    """
    periods = times // length.microseconds if length.microseconds else times
    starts = np.flatnonzero(np.diff(periods, prepend=periods[:1] - 1))
    begun, seen = 0, set[int]()
    for at, end in itertools.pairwise([*starts, len(times)]):
        seen.update(np.unique(files[at:end]).tolist())
        # of the newest period more rows may come; of one time, that of a commit, none do
        is_over = not length.microseconds or periods[at] < newest // length.microseconds
        if is_over and end - begun >= max(length.rows, MIN_ROWS) and len(seen) >= MIN_FILES:
            yield slice(begun, int(end))
            begun, seen = int(end), set()
