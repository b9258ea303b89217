"""How far apart the observations of a series are."""

import re
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

DAY = 86_400_000_000  # microseconds
_ISO = re.compile(r"P(?:(\d+)M|(\d+)D|T(\d+(?:\.\d{1,6})?)S)")


@dataclass(frozen=True, slots=True)
class Frequency:
    """Whole calendar months, or a fixed time; one of the two is 0. As text `3 months` or `1 days 00:00:00`."""

    months: int = 0
    microseconds: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Of a duration as ISO 8601 writes it: `P3M`, `P1D` or `PT3600S`.

        Raises:
            ValueError: another text, or no time at all.
        """
        found = _ISO.fullmatch(text)
        months, days, seconds = found.groups("0") if found else ("0", "0", "0")
        made = cls(int(months), int(days) * DAY + round(float(seconds) * 1e6))
        if made == cls():
            msg = f"'{text}' is no frequency, wanted one as P3M, P1D or PT3600S"
            raise ValueError(msg)
        return made

    @property
    def iso(self) -> str:
        """What `parse` reads."""
        if self.months:
            return f"P{self.months}M"
        if self.microseconds % DAY == 0:
            return f"P{self.microseconds // DAY}D"
        return f"PT{self.microseconds / 1e6:.6f}".rstrip("0").rstrip(".") + "S"

    def follows(self, times: npt.NDArray[np.int64], *, are_days: bool) -> npt.NDArray[np.bool_]:
        """Whether each time but the first is one such step after the one before it.

        Args:
            times: since 1970, in days or microseconds.
        """
        if self.months:
            months = times.astype("datetime64[D]" if are_days else "datetime64[us]").astype("datetime64[M]")
            return np.diff(months.astype(np.int64)) == self.months
        return np.diff(times) * (DAY if are_days else 1) == self.microseconds

    def after(self, times: npt.NDArray[np.int64], steps: int, *, are_days: bool) -> npt.NDArray[np.int64]:
        """The times of the next steps after the last of these.

        Of months the same day again, or the last one of a shorter month; where all times are last days of their months,
        so are these.

        Args:
            times: since 1970, in days or microseconds; at least one.
        """
        ahead = np.arange(1, steps + 1)
        if not self.months:
            return times[-1] + ahead * (self.microseconds // DAY if are_days else self.microseconds)
        dates = (times if are_days else times // DAY).astype("datetime64[D]")
        months = dates.astype("datetime64[M]")
        day = (dates - months.astype("datetime64[D]")).astype(np.int64)  # from 0
        reached = months[-1] + ahead * self.months
        last = _last_day(reached)
        day_then = last if (day == _last_day(months)).all() else np.minimum(day.max(), last)
        found = reached.astype("datetime64[D]").astype(np.int64) + day_then
        return found if are_days else found * DAY + times[-1] % DAY

    def __str__(self) -> str:
        if self.months:
            return f"{self.months} month{'s' if self.months > 1 else ''}"
        days, rest = divmod(self.microseconds, DAY)
        seconds, fraction = divmod(rest, 1_000_000)
        time = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        return f"{days} days {time}" + (f".{fraction:06}" if fraction else "")


def _last_day(months: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    """Of each month, counted from 0."""
    days = (months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")
    return days.astype(np.int64) - 1
