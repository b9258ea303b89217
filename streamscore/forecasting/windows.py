"""Which observations one series takes, and the windows that end with each."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np
import pyarrow as pa

from schemas.feed import Feed
from schemas.reasons import Reason
from schemas.signature import SeriesContract
from streamscore.forecasting.history import Integers, Key, Window
from streamscore.models.series_model import Floats


@dataclass(slots=True)
class Taken:
    """Rows of a table, by what becomes of them.

    Attributes:
        windows: shape (rows, window_rows, columns of `feed.observed`) each; `times` has their times, shape (rows,
            window_rows), and `ends` the rows that they end with.
        kept: observations without forecasts: the window is not full, or they are not the newest, or `marked`.
        marked: row of a window that the model was not trained for → why.
        refused: row → reason, and what was found and wanted.
    """

    windows: list[Floats] = field(default_factory=list)
    times: list[Integers] = field(default_factory=list)
    ends: list[Integers] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    marked: dict[int, str] = field(default_factory=dict)
    refused: dict[Reason, dict[int, str]] = field(default_factory=dict)

    def refuse(self, row: int, reason: Reason, detail: str) -> None:
        self.refused.setdefault(reason, {})[row] = detail


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why the model has no forecast after a window.

    Attributes:
        detail: what was found and wanted.
        time: of the observation that is to blame; None if the whole series is.
    """

    reason: Reason
    detail: str
    time: int | None = None


class SeriesWindows:
    """One series while rows are taken into it.

    A time after its newest is new. One that is among its kept times is a duplicate. Any other is late; so is a time
    older than all that is kept of a full window, whether or not it was observed.

    Attributes:
        window: its newest observations.
    """

    def __init__(self, feed: Feed, contract: SeriesContract, key: Key, window: Window | None, taken: Taken) -> None:
        """Begin with what was observed before.

        Args:
            contract: of the model; its `window_rows` are kept.
            taken: is told what becomes of each row.
        """
        self._feed, self._size, self._taken = feed, contract.window_rows, taken
        self._are_days = feed.time.type == "date"
        self._frequency = contract.frequency if feed.series.gap != "forecast" else None
        self._untrained = "" if feed.series.untrained == "forecast" else _untrained(feed, contract, key)
        self.window = window or Window(np.empty(0, np.int64), np.empty((0, len(feed.observed))))

    def take(self, rows: Integers, times: Integers, values: Floats) -> None:
        """Rows of this series, in their order: ascending stretches at once, all others one by one."""
        if self._untrained and self._feed.series.untrained == "refuse":
            for row in rows.tolist():
                self._taken.refuse(row, Reason.UNTRAINED, self._untrained)
            return
        ends = np.append(np.flatnonzero(np.diff(times) <= 0) + 1, len(times))
        at = 0
        while at < len(rows):
            if not len(self.window.times) or times[at] > self.window.times[-1]:
                end = int(ends[np.searchsorted(ends, at, side="right")])
                fits = self._refuse_gaps(rows[at:end], times[at:end])
                self._extend(rows[at:end][fits], times[at:end][fits], values[at:end][fits])
                at = end
            else:
                self._amend(int(rows[at]), times[at], values[at])
                at += 1

    @property
    def obstacle(self) -> Obstacle | None:
        """Why the model was not trained for its window as it is now; None if it was."""
        if self._untrained:
            return Obstacle(Reason.UNTRAINED, self._untrained)
        times = self.window.times
        if not self._frequency or (follows := self._frequency.follows(times, are_days=self._are_days)).all():
            return None
        before, time = times[int(np.flatnonzero(~follows)[-1]) :][:2].tolist()
        return Obstacle(Reason.GAP, self._gap(before, time), time)

    def _refuse_gaps(self, rows: Integers, times: Integers) -> np.ndarray:
        """Which of these new observations come one frequency after the one before, if the feed wants that; else all."""
        fits = np.ones(len(rows), np.bool_)
        if not self._frequency or self._feed.series.gap != "refuse":
            return fits
        newest = self.window.times[-1:]
        if self._frequency.follows(np.append(newest, times), are_days=self._are_days).all():
            return fits
        for at, time in enumerate(times):
            step = np.append(newest, time)
            if len(newest) and not self._frequency.follows(step, are_days=self._are_days)[0]:
                fits[at] = False
                self._taken.refuse(int(rows[at]), Reason.GAP, self._gap(int(newest[0]), int(time)))
            else:
                newest = step[-1:]
        return fits

    def _extend(self, rows: Integers, times: Integers, values: Floats) -> None:
        """New observations, ascending."""
        before, size = len(self.window.times), self._size
        times, values = np.append(self.window.times, times), np.concatenate([self.window.values, values])
        short = min(max(size - 1 - before, 0), len(rows))  # rows whose window is not full
        self._taken.kept += rows[:short].tolist()
        if short < len(rows):
            full = len(rows) - short
            windows = np.lib.stride_tricks.sliding_window_view(values, size, axis=0)[-full:].transpose(0, 2, 1)
            self._add(rows[short:], windows, times[-(full + size - 1) :])
        self.window = Window(times[-size:].copy(), values[-size:].copy())

    def _add(self, rows: Integers, windows: Floats, times: Integers) -> None:
        """Full windows that end with these rows; those that the model was not trained for are marked.

        Args:
            times: of all observations in the windows.
        """
        if self._untrained:
            self._mark(rows, lambda _: self._untrained, Reason.UNTRAINED)
            return
        of_windows = np.lib.stride_tricks.sliding_window_view(times, self._size)
        if self._frequency:
            follows = self._frequency.follows(times, are_days=self._are_days)
            # of each time the newest one, up to it, that does not follow the one before
            after = np.maximum.accumulate(np.append(0, np.where(follows, 0, np.arange(1, len(times)))))
            after, starts = after[self._size - 1 :], np.arange(len(rows))
            is_whole = after <= starts
            places = dict(zip(rows[~is_whole].tolist(), after[~is_whole].tolist(), strict=True))
            self._mark(rows[~is_whole], lambda row: self._gap(*times[places[row] - 1 :][:2].tolist()), Reason.GAP)
            rows, windows, of_windows = rows[is_whole], windows[is_whole], of_windows[is_whole]
        self._taken.windows.append(windows)
        self._taken.times.append(of_windows)
        self._taken.ends.append(rows)

    def _mark(self, rows: Integers, why: Callable[[int], str], reason: Reason) -> None:
        self._taken.kept += rows.tolist()
        self._taken.marked |= {row: f"{reason}: {why(row)}" for row in rows.tolist()}

    def _amend(self, row: int, time: np.int64, values: Floats) -> None:
        """An observation that is not newer than the newest."""
        window, rule = self.window, self._feed.series
        at = int(np.searchsorted(window.times, time))
        is_duplicate = window.times[at] == time
        if is_duplicate and rule.duplicate == "refuse":
            detail = f"found {self._text(time)}, which is there, wanted each time once"
            self._taken.refuse(row, Reason.DUPLICATE_TIME, detail)
        elif is_duplicate:
            observed = window.values.copy()
            observed[at] = values
            self.window = Window(window.times, observed)
            if at == len(observed) - 1 and len(observed) == self._size:
                self._add(np.array([row]), observed[np.newaxis], window.times)
            else:
                self._taken.kept.append(row)
        elif rule.late == "refuse":
            detail = f"found {self._text(time)}, wanted a time after {self._text(window.times[-1])}"
            self._taken.refuse(row, Reason.LATE, detail)
        else:
            times = np.insert(window.times, at, time)[-self._size :]
            self.window = Window(times, np.insert(window.values, at, values, axis=0)[-self._size :])
            self._taken.kept.append(row)

    def _gap(self, before: int, time: int) -> str:
        return f"found {self._text(time)} after {self._text(before)}, wanted {self._frequency} between them"

    def _text(self, time: int | np.int64) -> str:
        kind = self._feed.time.arrow_type
        whole = pa.scalar(int(time), pa.int32() if pa.types.is_date32(kind) else pa.int64())
        value: date | datetime = whole.cast(kind).as_py()
        return value.isoformat()


def _untrained(feed: Feed, contract: SeriesContract, key: Key) -> str:
    """That the model was trained on another series than this one, if it was."""
    texts = tuple(None if value is None else str(value) for value in key)
    if contract.key is None or contract.key == texts:
        return ""
    found, wanted = (
        ", ".join(f"{column.name} {text}" for column, text in zip(feed.keys, of, strict=True))
        for of in (texts, contract.key)
    )
    return f"found {found}, the model was trained on {wanted}"
