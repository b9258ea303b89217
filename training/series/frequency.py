"""How far apart the rows of a series are: as the settings say, else whole months or a fixed time, as the rows show."""

import numpy as np
import numpy.typing as npt

from schemas.errors import FeedError
from schemas.frequency import DAY, Frequency
from schemas.local_clock import local_times

Integers = npt.NDArray[np.int64]


def stated_frequency(times: Integers, wanted: Frequency, source: str) -> Frequency:
    """The frequency that the settings name, if each row follows the one before it by it.

    Args:
        times: microseconds since 1970, ascending.

    Raises:
        FeedError: fewer than three rows, or a gap; names the first one.
    """
    _assert_some(times, source)
    follows = wanted.follows(times, are_days=False)
    if not follows.all():
        at = int(np.flatnonzero(~follows)[0])
        msg = (
            f"{source}: after {_shown(times[at])} comes {_shown(times[at + 1])}, wanted {wanted} between rows, as "
            f"series.frequency says ({int((~follows).sum())} of {len(follows)} distances differ); fill the gap, or "
            f"state another frequency: docs/series.md"
        )
        raise FeedError(msg)
    return wanted


def infer_frequency(times: Integers, source: str, zone: str = "") -> Frequency:
    """The distance of two neighbours; the most frequent one where they differ.

    Calendar months count where all times are on the same day of a month, or all on its last.

    Args:
        times: microseconds since 1970, ascending.
        zone: by whose calendar the rows are, if all of them are so many days apart in it.

    Raises:
        FeedError: fewer than three rows, or a distance that differs; names the first gap.
    """
    _assert_some(times, source)
    local = local_times(times, zone)
    months = _months(local)
    if months is None and zone and len(set(days := np.diff(local))) == 1 and days[0] % DAY == 0:
        return Frequency(microseconds=int(days[0]), zone=zone)
    steps = np.diff(times if months is None else months)
    found, counts = np.unique(steps, return_counts=True)
    usual = int(found[counts.argmax()])
    frequency = Frequency(microseconds=usual) if months is None else Frequency(months=usual, zone=zone)
    if (wrong := steps != usual).any():
        at = int(np.flatnonzero(wrong)[0])
        msg = (
            f"{source}: the time index is irregular: after {_shown(times[at])} comes {_shown(times[at + 1])}, wanted "
            f"{frequency} between rows ({int(wrong.sum())} of {len(steps)} distances differ); fill the gap or resample"
            f"{_hint(times, zone)}"
        )
        raise FeedError(msg)
    return frequency


def _hint(times: Integers, zone: str) -> str:
    """A frequency that the rows do have, which somebody has to state because it may be chance."""
    days = (local_times(times, zone) // DAY).astype("datetime64[D]")
    after = np.busday_offset(days, 1, roll="backward").astype("datetime64[M]")
    are_last = bool((after > days.astype("datetime64[M]")).all())
    for text in ("B", *(("BME", "BQE", "BYE") if are_last else ()), "P1M", "P3M", "P1Y"):
        frequency = Frequency.parse(text, zone)
        if frequency.follows(times, are_days=False).all():
            return f"; or, if they are {frequency} apart, write series: {{frequency: {text}}}"
    return ", or state it: series.frequency in docs/series.md"


def _assert_some(times: Integers, source: str) -> None:
    if len(times) < 3:
        msg = f"{source} has {len(times)} rows; a series wants many more"
        raise FeedError(msg)


def _months(local: Integers) -> Integers | None:
    """Months since 1970; None if the times are not one in each at the most, on the same day or the last one."""
    dates, clock = (local // DAY).astype("datetime64[D]"), local % DAY
    months = dates.astype("datetime64[M]")
    day = dates - months.astype("datetime64[D]")
    are_last = (dates + 1).astype("datetime64[M]") > months
    numbers = months.astype(np.int64)
    fits = (len(np.unique(day)) == 1 or are_last.all()) and len(np.unique(clock)) == 1
    return numbers if fits and (np.diff(numbers) > 0).all() else None


def _shown(time: np.int64) -> str:
    return str(np.datetime64(int(time), "us")).replace("T", " ").removesuffix(".000000")
