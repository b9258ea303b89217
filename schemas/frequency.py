"""How far apart the observations of a series are."""

import re
from dataclasses import dataclass, replace
from typing import Literal, Self
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from schemas.local_clock import local_times, utc_times

DAY = 86_400_000_000  # microseconds
_SECOND = 1_000_000
_HOUR = 3600 * _SECOND
_MOST = 3_652_059  # days of the years 1 to 9999
_ISO = re.compile(
    r"P(?:(?P<years>\d+)Y|(?P<months>\d+)M|(?P<weeks>\d+)W|(?P<days>\d+)D"
    r"|T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d{1,6})?)S)?)"
)
_ALIAS = re.compile(r"(?P<count>\d*)(?P<name>[A-Za-z]+)")

End = Literal["", "month", "business"]
# pandas' names of what an observation is of: months and their last days, microseconds, business days
_MONTHS: dict[str, tuple[int, End]] = {
    "MS": (1, ""), "ME": (1, "month"), "BME": (1, "business"),
    "QS": (3, ""), "QE": (3, "month"), "BQE": (3, "business"),
    "YS": (12, ""), "YE": (12, "month"), "BYE": (12, "business"),
}  # fmt: skip
_TIMES = {"s": _SECOND, "min": 60 * _SECOND, "h": _HOUR, "D": DAY, "W": 7 * DAY}

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Frequency:
    """Whole calendar months, a fixed time, or business days, which are Mondays to Fridays; two of the three are 0.

    As text `3 months`, `1 days 00:00:00` or `1 business day`, with the zone if there is one.

    Attributes:
        end: of months: on the same day of each (""), on its last one, or on the last of its business days.
        zone: by whose calendar and clock days and months are counted; "": UTC.
    """

    months: int = 0
    microseconds: int = 0
    business_days: int = 0
    end: End = ""
    zone: str = ""

    @classmethod
    def parse(cls, text: str, zone: str = "") -> Self:
        """Of a duration as ISO 8601 writes it or a name that pandas has for it, and perhaps a zone behind it.

        As `P3M`, `P1D`, `PT3600S`, `PT15M`; `B`, `ME`, `BQE`, `2h`; `P1D Europe/Berlin`.

        Args:
            zone: where the text has none.

        Raises:
            ValueError: another text, no time at all, or a zone that is none.
        """
        said, _, named = text.strip().partition(" ")
        made = cls._of_iso(said) or cls._of_alias(said)
        if not made or max(made.months, made.business_days, made.microseconds // DAY) > _MOST:
            msg = f"'{text}' is no frequency, wanted one as P3M, P1D, PT3600S, B, ME, BME or P1D Europe/Berlin"
            raise ValueError(msg)
        try:
            ZoneInfo(named.strip() or zone or "UTC")
        except (LookupError, OSError, ValueError) as error:
            msg = f"'{named.strip() or zone}' is no zone, wanted a name of the time zone database, as Europe/Berlin"
            raise ValueError(msg) from error
        return replace(made, zone=named.strip() or zone)

    @classmethod
    def _of_iso(cls, text: str) -> Self | None:
        found = _ISO.fullmatch(text)
        if not found:
            return None
        said = {name: float(value) for name, value in found.groupdict("0").items()}
        seconds = said["hours"] * 3600 + said["minutes"] * 60 + said["seconds"]
        micros = int(said["weeks"] * 7 + said["days"]) * DAY + round(seconds * 1e6)
        made = cls(int(said["years"]) * 12 + int(said["months"]), micros)
        return None if made == cls() else made

    @classmethod
    def _of_alias(cls, text: str) -> Self | None:
        found = _ALIAS.fullmatch(text)
        name, count = (found["name"], int(found["count"] or 1)) if found else ("", 0)
        if not count:
            return None
        if name in _MONTHS:
            months, end = _MONTHS[name]
            return cls(months * count, end=end)
        if name in _TIMES:
            return cls(microseconds=_TIMES[name] * count)
        return cls(business_days=count) if name == "B" else None

    @property
    def text(self) -> str:
        """What `parse` reads."""
        if self.business_days:
            said = f"{self.business_days}B"
        elif self.months:
            said = {"": f"P{self.months}M", "month": f"{self.months}ME", "business": f"{self.months}BME"}[self.end]
        elif self.microseconds % DAY == 0:
            said = f"P{self.microseconds // DAY}D"
        else:
            said = f"PT{self.microseconds / 1e6:.6f}".rstrip("0").rstrip(".") + "S"
        return f"{said} {self.zone}" if self.zone else said

    @property
    def span(self) -> tuple[int, int, int]:
        """How far, whatever the day of a month and the zone: months, microseconds, business days."""
        return self.months, self.microseconds, self.business_days

    def is_of_dates(self) -> bool:
        """Whether it leads from a date to a date."""
        return self.microseconds % DAY == 0

    def follows(self, times: Integers, *, are_days: bool) -> npt.NDArray[np.bool_]:
        """Whether each time but the first is one such step after the one before it.

        Of months the number alone counts, whatever the day.

        Args:
            times: since 1970, in days or microseconds.
        """
        if self.microseconds % DAY:  # of a time, not of a calendar
            return np.diff(times) * (DAY if are_days else 1) == self.microseconds
        local = times * DAY if are_days else local_times(times, self.zone)
        if self.months:
            return np.diff(local.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)) == self.months
        days, clock = local // DAY, local % DAY
        same_clock = np.abs(np.diff(clock)) <= (_HOUR if self.zone else 0)  # where clocks skip midnight, it is later
        if self.microseconds:
            return same_clock & (np.diff(days) == self.microseconds // DAY)
        dates = days.astype("datetime64[D]")
        is_business = np.is_busday(dates)
        between = np.busday_count(dates[:-1], dates[1:]) == self.business_days
        return between & is_business[:-1] & is_business[1:] & same_clock

    def after(self, times: Integers, steps: int, *, are_days: bool) -> Integers:
        """The times of the next steps after the last of these.

        Of months the same day again, or the last one of a shorter month; where all times are last days of their months,
        so are these.

        Args:
            times: since 1970, in days or microseconds, shape (…, observations), of at least one.

        Returns:
            Shape (…, steps).
        """
        ahead = np.arange(1, steps + 1)
        if self.microseconds % DAY:
            return times[..., -1:] + ahead * (self.microseconds // DAY if are_days else self.microseconds)
        local = times * DAY if are_days else local_times(times, self.zone)
        last = local[..., -1:]
        if self.months:
            days = self._days_of_months((local // DAY).astype("datetime64[D]"), ahead)
        elif self.business_days:
            last_day = (last // DAY).astype("datetime64[D]")
            days = np.busday_offset(last_day, ahead * self.business_days, roll="backward").astype(np.int64)
        else:
            days = last // DAY + ahead * (self.microseconds // DAY)
        return days if are_days else utc_times(days * DAY + self._clock(times, local), self.zone)

    def _clock(self, times: Integers, local: Integers) -> Integers:
        """At which time of a day the last of these is; where the clocks skipped that, the last is later.

        The one before it says which of the skipped times it is; without one it is midnight, if that was skipped.
        """
        clock = local[..., -1:] % DAY
        if not self.zone:
            return clock
        skipped = local[..., -1:] - local_times(times[..., -1:] - 1, self.zone) - 1  # the clocks were put forward
        usual = local[..., -2:-1] % DAY if times.shape[-1] > 1 else np.zeros_like(clock)
        is_skipped = (skipped > 0) & (skipped <= clock) & (clock - skipped <= usual) & (usual < clock)
        return np.where(is_skipped, usual, clock)

    def _days_of_months(self, dates: npt.NDArray[np.datetime64], ahead: Integers) -> Integers:
        months = dates.astype("datetime64[M]")
        day = (dates - months.astype("datetime64[D]")).astype(np.int64)  # from 0
        reached: npt.NDArray[np.datetime64] = months[..., -1:] + ahead.astype("timedelta64[M]") * self.months
        last = _last_day(reached)
        is_end = (day == _last_day(months)).all(axis=-1, keepdims=True)
        then = last if self.end else np.where(is_end, last, np.minimum(day.max(axis=-1, keepdims=True), last))
        days = reached.astype("datetime64[D]") + then
        if self.end == "business":
            days = np.busday_offset(days, 0, roll="backward")
        return days.astype(np.int64)

    def __str__(self) -> str:
        where = f" of {self.zone}" if self.zone else ""
        if self.business_days:
            return f"{self.business_days} business day{'s' if self.business_days > 1 else ''}{where}"
        if self.months:
            on = {"": "", "month": " (last days)", "business": " (last business days)"}[self.end]
            return f"{self.months} month{'s' if self.months > 1 else ''}{on}{where}"
        days, rest = divmod(self.microseconds, DAY)
        seconds, fraction = divmod(rest, _SECOND)
        time = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        return f"{days} days {time}" + (f".{fraction:06}" if fraction else "") + where


def _last_day(months: npt.NDArray[np.datetime64]) -> Integers:
    """Of each month, counted from 0."""
    days = (months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")
    return days.astype(np.int64) - 1
