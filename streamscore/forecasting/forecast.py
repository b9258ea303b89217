"""Which observations are taken into their series, and what follows each; pure: a history in, the next one out.

However the same observations are cut into calls, what is taken, refused and forecast is the same.
"""

from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np
import pyarrow as pa

from schemas.feed import Feed
from schemas.reasons import Reason
from schemas.tables import forecast_type
from streamscore.forecasting.history import History, Integers, Window, by_series, times_of, values_of
from streamscore.models.answers import AnswerError
from streamscore.models.series_model import Floats, SeriesModel
from streamscore.reading.rejects import NO_REJECTS
from streamscore.reading.rows import Rows
from streamscore.scoring.ask import ask, reason_of
from streamscore.scoring.score import Scored


@dataclass(frozen=True, slots=True)
class Forecast:
    """What some rows gave.

    Attributes:
        scored: in `predictions` the columns of `forecasts_schema` but those of the batch; the rejects.
        history: what was observed before the next row.
    """

    scored: Scored
    history: History


@dataclass(slots=True)
class _Taken:
    """Rows of a table, by what becomes of them.

    Attributes:
        windows: shape (rows, window_rows, features) each; `ends` has the rows that they end with.
        kept: observations without forecasts: the window is not full, or they are not the newest.
        refused: row → reason, and what was found and wanted.
    """

    windows: list[Floats] = field(default_factory=list)
    ends: list[Integers] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    refused: dict[Reason, dict[int, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Answers:
    """What the model said.

    Attributes:
        ends: the rows that its windows ended with.
        values: shape (windows, steps, columns of `forecast_type`).
        failures: index of a window → why it has no forecast: `model_error: …` or `bad_prediction: …`.
    """

    ends: Integers
    values: Floats
    failures: dict[int, str]


def forecast(rows: Rows, feed: Feed, model: SeriesModel, history: History) -> Forecast:
    """The forecasts after each observation, in the order of the rows, and the rows that the feed refuses.

    1. Each series on its own: which rows it takes, and the window that ends with each.  2. One call of the model for
    all windows; one that it fails on stays an observation, `failure` says why.  3. The rows of `forecasts`.
    """
    # 1
    taken, windows = _Taken(), dict(history.windows)
    times, values = times_of(rows.table, feed), values_of(rows.table, feed)
    ahead = _future_dated(rows.table, feed, times)
    for row in np.flatnonzero(ahead).tolist():
        detail = (
            f"found a time more than {feed.series.ahead_seconds:g} s after the file landed, see series.ahead_seconds"
        )
        taken.refused.setdefault(Reason.OUT_OF_RANGE, {})[row] = detail
    for key, of_series in by_series(rows.table, feed):
        at = of_series[~ahead[of_series]]
        series = _Series(feed, history.window_rows, windows.get(key))
        series.take(at, times[at], values[at], taken)
        windows[key] = series.window
    rejects = [
        rows.reject(list(found), reason, feed.time.name, list(found.values()))
        for reason, found in taken.refused.items()
    ]
    # 2
    answers = _ask_all(taken, feed.series.steps, model)
    # 3
    accepted = np.sort(np.concatenate([answers.ends, np.array(taken.kept, np.int64)]))
    table = _table(rows.table, feed, accepted, answers, history.last)
    scored = Scored(table, pa.concat_tables([NO_REJECTS, *rejects]))
    return Forecast(scored, History(history.window_rows, windows, history.last + len(accepted)))


def _future_dated(table: pa.Table, feed: Feed, times: Integers) -> np.ndarray:
    """Which rows are of a time too far after their file's: booleans. The file's time is that of any replay too."""
    if feed.series.ahead_seconds is None:
        return np.zeros(table.num_rows, bool)
    landed = table["landed_at"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()
    unit = 86_400_000_000 if feed.time.type == "date" else 1  # microseconds
    return times * unit > landed + feed.series.ahead_seconds * 1e6


class _Series:
    """One series while rows are taken into it.

    A time after its newest is new. One that is among its kept times is a duplicate. Any other is late; so is a time
    older than all that is kept of a full window, whether or not it was observed.
    """

    def __init__(self, feed: Feed, window_rows: int, window: Window | None) -> None:
        self._feed, self._window_rows = feed, window_rows
        self.window = window or Window(np.empty(0, np.int64), np.empty((0, len(feed.features))))

    def take(self, rows: Integers, times: Integers, values: Floats, taken: _Taken) -> None:
        """Rows of this series, in their order: ascending stretches at once, all others one by one."""
        ends = np.append(np.flatnonzero(np.diff(times) <= 0) + 1, len(times))
        at = 0
        while at < len(rows):
            if not len(self.window.times) or times[at] > self.window.times[-1]:
                end = int(ends[np.searchsorted(ends, at, side="right")])
                self._extend(rows[at:end], times[at:end], values[at:end], taken)
                at = end
            else:
                self._amend(int(rows[at]), times[at], values[at], taken)
                at += 1

    def _extend(self, rows: Integers, times: Integers, values: Floats, taken: _Taken) -> None:
        """New observations, ascending."""
        before, size = len(self.window.times), self._window_rows
        times, values = np.append(self.window.times, times), np.concatenate([self.window.values, values])
        short = min(max(size - 1 - before, 0), len(rows))  # rows whose window is not full
        taken.kept += rows[:short].tolist()
        if short < len(rows):
            windows = np.lib.stride_tricks.sliding_window_view(values, size, axis=0)
            taken.windows.append(windows[-(len(rows) - short) :].transpose(0, 2, 1))
            taken.ends.append(rows[short:])
        self.window = Window(times[-size:].copy(), values[-size:].copy())

    def _amend(self, row: int, time: np.int64, values: Floats, taken: _Taken) -> None:
        """An observation that is not newer than the newest."""
        window, rule = self.window, self._feed.series
        at = int(np.searchsorted(window.times, time))
        is_duplicate = window.times[at] == time
        if is_duplicate and rule.duplicate == "refuse":
            detail = f"found {self._text(time)}, which is there, wanted each time once"
            taken.refused.setdefault(Reason.DUPLICATE_TIME, {})[row] = detail
        elif is_duplicate:
            observed = window.values.copy()
            observed[at] = values
            self.window = Window(window.times, observed)
            if at == len(observed) - 1 and len(observed) == self._window_rows:
                taken.windows.append(observed[np.newaxis])
                taken.ends.append(np.array([row]))
            else:
                taken.kept.append(row)
        elif rule.late == "refuse":
            detail = f"found {self._text(time)}, wanted a time after {self._text(window.times[-1])}"
            taken.refused.setdefault(Reason.LATE, {})[row] = detail
        else:
            times = np.insert(window.times, at, time)[-self._window_rows :]
            self.window = Window(times, np.insert(window.values, at, values, axis=0)[-self._window_rows :])
            taken.kept.append(row)

    def _text(self, time: np.int64) -> str:
        kind = self._feed.time.arrow_type
        whole = pa.scalar(int(time), pa.int32() if pa.types.is_date32(kind) else pa.int64())
        value: date | datetime = whole.cast(kind).as_py()
        return value.isoformat()


def _ask_all(taken: _Taken, steps: int, model: SeriesModel) -> _Answers:
    """The model's forecasts for all windows; NaN where it failed."""
    ends = np.concatenate([np.empty(0, np.int64), *taken.ends])
    values, failures = np.full((len(ends), steps, model.output.num_fields), np.nan), dict[int, str]()
    if not len(ends):
        return _Answers(ends, values, failures)
    windows = np.concatenate(taken.windows)
    for start, stop, answer in ask(len(ends), lambda start, stop: model.forecast(windows[start:stop], steps)):
        if isinstance(answer, Exception):
            reason = Reason.BAD_PREDICTION if isinstance(answer, AnswerError) else Reason.MODEL_ERROR
            failures |= dict.fromkeys(range(start, stop), f"{reason}: {reason_of(answer)}")
        else:
            values[start:stop] = answer.reshape(len(answer), steps, -1)
    for at in np.flatnonzero(~np.isfinite(values).all(axis=(1, 2))).tolist():
        failures.setdefault(at, f"{Reason.BAD_PREDICTION}: found NaN or infinity, wanted finite forecasts")
    return _Answers(ends, values, failures)


def _table(rows: pa.Table, feed: Feed, accepted: Integers, answers: _Answers, last: int) -> pa.Table:
    """The accepted rows, once for each step of their forecasts, or once with step 0."""
    steps = answers.values.shape[1]
    is_good = np.ones(len(answers.ends), np.bool_)
    is_good[list(answers.failures)] = False
    at = np.searchsorted(accepted, answers.ends)
    counts = np.ones(len(accepted), np.int64)
    counts[at[is_good]] = steps
    first = np.cumsum(counts) - counts  # of each accepted row among the rows of the result
    places = first[at[is_good]][:, np.newaxis] + np.arange(steps)
    total = int(counts.sum())
    step, values = np.zeros(total, np.int32), np.full((total, answers.values.shape[2]), np.nan)
    step[places], values[places] = np.arange(1, steps + 1), answers.values[is_good]
    why = np.full(total, None, object)
    why[first[at[list(answers.failures)]]] = list(answers.failures.values())
    table = rows.take(pa.array(np.repeat(accepted, counts)))
    numbers = np.repeat(np.arange(last + 1, last + 1 + len(accepted)), counts)
    table = table.append_column("observation", pa.array(numbers)).append_column("step", pa.array(step))
    for one, column in zip(forecast_type(feed), values.T, strict=True):
        table = table.append_column(one, pa.array(column, mask=step == 0))
    return table.append_column("failure", pa.array(why, pa.string()))
