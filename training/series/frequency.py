"""How far apart the rows of a series are: whole months, or a fixed time."""

import numpy as np
import pandas as pd

from schemas.errors import FeedError
from schemas.frequency import Frequency


def infer_frequency(times: pd.DatetimeIndex, source: str) -> Frequency:
    """The distance of two neighbours; the most frequent one where they differ.

    Calendar months count where all times are on the same day of a month, or all on its last.

    Raises:
        FeedError: fewer than three rows, or a distance that differs; names the first gap.
    """
    if len(times) < 3:
        msg = f"{source} has {len(times)} rows; a series wants many more"
        raise FeedError(msg)
    months = _months(times)
    steps = np.diff(months if months is not None else times.to_numpy().astype("datetime64[us]").astype("int64"))
    found, counts = np.unique(steps, return_counts=True)
    usual = int(found[counts.argmax()])
    frequency = Frequency(microseconds=usual) if months is None else Frequency(months=usual)
    if (wrong := steps != usual).any():
        at = int(np.flatnonzero(wrong)[0])
        msg = (
            f"{source}: the time index is irregular: after {times[at]} comes {times[at + 1]}, wanted {frequency} "
            f"between rows ({int(wrong.sum())} of {len(steps)} distances differ); fill the gap or resample"
        )
        raise FeedError(msg)
    return frequency


def _months(times: pd.DatetimeIndex) -> np.ndarray | None:
    """Months since year 0; None if the times are not one in each at the most, on the same day."""
    same_day = times.day.nunique() == 1 or bool(times.is_month_end.all())
    same_hour = (times - times.normalize()).nunique() == 1
    months = np.asarray(times.year * 12 + times.month)
    return months if same_day and same_hour and (np.diff(months) > 0).all() else None
