"""Times in UTC as the clocks of a zone show them, and back."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Integers = npt.NDArray[np.int64]

# Arrow knows no change of clocks from 2037 on; Python reads the rules that the time zone database has for them.
_RULES_END = 2_114_380_800_000_000  # 2037-01-01
_YEARS_END = 253_402_214_400_000_000  # 9999-12-31, of which every zone has an hour within Python's years
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  of any clock


def local_times(times: Integers, zone: str) -> Integers:
    """What the clocks show: microseconds since 1970, without a zone, of times that have the same in UTC."""
    if not zone or zone == "UTC":
        return times

    def by_arrow(some: Integers) -> Integers:
        found = pc.local_timestamp(pa.array(some, pa.timestamp("us", tz=zone)))
        return found.cast(pa.int64()).to_numpy()

    def by_rule(time: int) -> int:
        utc = (_EPOCH + timedelta(microseconds=time)).replace(tzinfo=UTC)
        return _micros(utc.astimezone(ZoneInfo(zone)).replace(tzinfo=None))

    return _both(times, by_arrow, by_rule)


def utc_times(times: Integers, zone: str) -> Integers:
    """The times at which clocks show this; the first of two, and, where clocks skip it, when they were put forward."""
    if not zone or zone == "UTC":
        return times

    def by_arrow(some: Integers) -> Integers:
        naive = pa.array(some, pa.timestamp("us"))
        found = pc.assume_timezone(naive, zone, ambiguous="earliest", nonexistent="latest")
        return found.cast(pa.int64()).to_numpy()

    def by_rule(time: int) -> int:
        local = (_EPOCH + timedelta(microseconds=time)).replace(tzinfo=ZoneInfo(zone))
        before, after = (time - _offset(local.replace(fold=fold)) for fold in (1, 0))
        while before < after - 1:  # it is skipped: both are times, before and after the clocks are put forward
            middle = (before + after) // 2
            shown = (_EPOCH + timedelta(microseconds=middle)).replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
            before, after = (middle, after) if _offset(shown) == _offset(local) else (before, middle)
        return after

    return _both(times, by_arrow, by_rule)


def _both(times: Integers, by_arrow: Callable[[Integers], Integers], by_rule: Callable[[int], int]) -> Integers:
    flat = np.ascontiguousarray(times).ravel()
    found = by_arrow(flat)
    late = (flat >= _RULES_END) & (flat < _YEARS_END)
    if late.any():
        known, places = np.unique(flat[late], return_inverse=True)
        found = found.copy()
        found[late] = np.array([by_rule(time) for time in known.tolist()], np.int64)[places]
    return found.reshape(times.shape)


def _micros(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1)


def _offset(time: datetime) -> int:
    return (time.utcoffset() or timedelta()) // timedelta(microseconds=1)
