"""Which observations are taken into their series, and what follows each; pure: a history in, the next one out.

However the same observations are cut into calls, what is taken, refused and forecast is the same.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.feed import FORECAST, Feed
from schemas.frequency import DAY, Frequency
from schemas.reasons import Reason
from schemas.signature import SeriesContract
from schemas.tables import FORECAST_TIME, forecast_type
from streamscore.forecasting.history import History, Integers, Key, by_series, times_of, values_of, with_changes
from streamscore.forecasting.windows import SeriesWindows, Taken
from streamscore.models.answers import AnswerError
from streamscore.models.series_model import Floats, SeriesModel
from streamscore.reading.rejects import NO_REJECTS
from streamscore.reading.rows import Rows
from streamscore.scoring.ask import ask, reason_of
from streamscore.scoring.score import Scored

LAST_DAY = 2_932_896  # 9999-12-31, beyond which readers of the tables fail


@dataclass(frozen=True, slots=True)
class Forecast:
    """What some rows gave.

    Attributes:
        scored: in `predictions` the columns of `forecasts_schema` but those of the batch; the rejects.
        history: what was observed before the next row.
    """

    scored: Scored
    history: History


@dataclass(frozen=True, slots=True)
class _Answers:
    """What the model said.

    Attributes:
        ends: the rows that its windows ended with.
        times: of the steps, shape (windows, steps), masked where the model does not say how far apart they are.
        values: shape (windows, steps, columns of `forecast_type`).
        failures: index of a window → why it has no forecast: `model_error: …` or `bad_prediction: …`.
    """

    ends: Integers
    times: np.ma.MaskedArray[Any, np.dtype[np.int64]]
    values: Floats
    failures: dict[int, str]


@dataclass(frozen=True, slots=True)
class Observed:
    """What rows are for their series.

    Attributes:
        taken: what becomes of each row.
        series: those that the rows are of, after them, by key.
        rejects: the rows that the feed refuses.
    """

    taken: Taken
    series: dict[Key, SeriesWindows]
    rejects: pa.Table


def forecast(rows: Rows, feed: Feed, model: SeriesModel, history: History) -> Forecast:
    """The forecasts after each observation, in the order of the rows, and the rows that the feed refuses.

    1. Each series on its own: which rows it takes, and the window that ends with each.  2. One call of the model for
    all windows that it was trained for; another one, or one that it fails on, stays an observation, and `failure` says
    why.  3. The rows of `forecasts`.
    """
    # 1
    observed = observe(rows, feed, model.contract, history)
    taken = observed.taken
    # 2
    answers = _ask_all(taken, feed, model)
    # 3
    accepted = np.sort(np.concatenate([answers.ends, np.array(taken.kept, np.int64)]))
    table = _table(rows.table, feed, accepted, taken.marked, answers, history.last)
    windows = with_changes(history.windows, {key: series.window for key, series in observed.series.items()})
    after = History(history.window_rows, windows, history.last + len(accepted))
    return Forecast(Scored(table, observed.rejects), after)


def observe(rows: Rows, feed: Feed, contract: SeriesContract, history: History) -> Observed:
    """Rows into their series, in their order.

    Args:
        contract: of the model; its `window_rows` are kept of each series.
    """
    taken, series = Taken(), dict[Key, SeriesWindows]()
    times, values = times_of(rows.table, feed), values_of(rows.table, feed)
    ahead = _future_dated(rows.table, feed, times)
    for row in np.flatnonzero(ahead).tolist():
        detail = (
            f"found a time more than {feed.series.ahead_seconds:g} s after the file landed, see series.ahead_seconds"
        )
        taken.refuse(row, Reason.OUT_OF_RANGE, detail)
    for key, of_series in by_series(rows.table, feed):
        at = of_series[~ahead[of_series]]
        series[key] = SeriesWindows(feed, contract, key, history.windows.get(key), taken)
        series[key].take(at, times[at], values[at])
    rejects = [
        rows.reject(list(found), reason, _column(feed, reason), list(found.values()))
        for reason, found in taken.refused.items()
    ]
    return Observed(taken, series, pa.concat_tables([NO_REJECTS, *rejects]))


def _column(feed: Feed, reason: Reason) -> str:
    return feed.keys[0].name if reason is Reason.UNTRAINED else feed.time.name


def _future_dated(table: pa.Table, feed: Feed, times: Integers) -> np.ndarray:
    """Which rows are of a time too far after their file's: booleans. The file's time is that of any replay too."""
    if feed.series.ahead_seconds is None:
        return np.zeros(table.num_rows, bool)
    landed = table["landed_at"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()
    unit = 86_400_000_000 if feed.time.type == "date" else 1  # microseconds
    return times * unit > landed + feed.series.ahead_seconds * 1e6


def _ask_all(taken: Taken, feed: Feed, model: SeriesModel) -> _Answers:
    """The model's forecasts for all windows; NaN where it failed."""
    steps, ends = feed.series.steps, np.concatenate([np.empty(0, np.int64), *taken.ends])
    values, failures = np.full((len(ends), steps, model.output.num_fields), np.nan), dict[int, str]()
    if not len(ends):
        return _Answers(ends, np.ma.zeros((0, steps), np.int64), values, failures)
    times = times_after(np.concatenate(taken.times), steps, model.contract.frequency, feed)
    windows = np.concatenate(taken.windows)
    for start, stop, answer in ask(len(ends), lambda start, stop: model.forecast(windows[start:stop], steps)):
        if isinstance(answer, Exception):
            reason = Reason.BAD_PREDICTION if isinstance(answer, AnswerError) else Reason.MODEL_ERROR
            failures |= dict.fromkeys(range(start, stop), f"{reason}: {reason_of(answer)}")
        else:
            values[start:stop] = answer.reshape(len(answer), steps, -1)
    is_given = np.repeat(model.forecasts, len(FORECAST))
    for at in np.flatnonzero(~np.isfinite(values[:, :, is_given]).all(axis=(1, 2))).tolist():
        failures.setdefault(at, f"{Reason.BAD_PREDICTION}: found NaN or infinity, wanted finite forecasts")
    return _Answers(ends, times, values, failures)


def times_after(
    times: Integers, steps: int, frequency: Frequency | None, feed: Feed
) -> np.ma.MaskedArray[Any, np.dtype[np.int64]]:
    """The times of the steps after windows, masked where they are not known or beyond the year 9999.

    Args:
        times: of the windows, shape (windows, observations).

    Returns:
        Shape (windows, steps).
    """
    are_days = feed.time.type == "date"
    if frequency is None or (are_days and not frequency.is_of_dates()):
        return np.ma.array(np.zeros((len(times), steps), np.int64), mask=True)
    found = frequency.after(times, steps, are_days=are_days)
    return np.ma.masked_greater(found, LAST_DAY if are_days else LAST_DAY * DAY + DAY - 1)


def _table(
    rows: pa.Table, feed: Feed, accepted: Integers, marked: dict[int, str], answers: _Answers, last: int
) -> pa.Table:
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
    times = np.ma.array(np.zeros(total, np.int64), mask=True)
    times[places] = answers.times[is_good]
    why = np.full(total, None, object)
    why[first[at[list(answers.failures)]]] = list(answers.failures.values())
    why[first[np.searchsorted(accepted, list(marked))]] = list(marked.values())
    table = rows.take(pa.array(np.repeat(accepted, counts)))
    numbers = np.repeat(np.arange(last + 1, last + 1 + len(accepted)), counts)
    table = table.append_column("observation", pa.array(numbers)).append_column("step", pa.array(step))
    table = table.append_column(FORECAST_TIME, as_times(times, feed))
    for one, column in zip(forecast_type(feed), values.T, strict=True):
        table = table.append_column(one, pa.array(column, mask=np.isnan(column)))
    return table.append_column("failure", pa.array(why, pa.string()))


def as_times(times: np.ma.MaskedArray[Any, np.dtype[np.int64]], feed: Feed) -> pa.Array:
    """Days or microseconds since 1970 as the feed's time has them, null where they are masked."""
    whole = pa.array(times.data, pa.int64(), mask=np.ma.getmaskarray(times))
    return (whole.cast(pa.int32()) if feed.time.type == "date" else whole).cast(feed.time.arrow_type)
