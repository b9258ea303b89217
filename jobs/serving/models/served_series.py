"""A loaded version that forecasts series: observations in, the next steps of each series out."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from jobs.serving.models.batcher import Batcher, Weight, bounds_of
from jobs.serving.models.served_model import Read, row_errors
from jobs.serving.models.steps_ahead import regressors_of
from jobs.serving.requests.contract import Inputs
from jobs.serving.requests.problems import RequestError, RowError, refused_rows, without_paths
from jobs.serving.requests.values import Values, typed
from schemas.feed import Feed
from schemas.reasons import Reason
from schemas.settings import Serving
from schemas.signature import SeriesContract
from schemas.tables import TIME
from streamscore.forecasting.forecast import as_times, observe, times_after
from streamscore.forecasting.history import History, Integers, Key, Window, by_series, times_of
from streamscore.forecasting.windows import SeriesWindows, Taken
from streamscore.models.answers import AnswerError
from streamscore.models.series_model import Floats, SeriesModel
from streamscore.reading.rejects import NO_REJECTS, rejects_table
from streamscore.reading.rows import Rows
from streamscore.reading.validate import validate
from streamscore.scoring.ask import ask, reason_of

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

MOST_STEPS = 10_000  # of one series
MOST_FORECASTS = 100_000  # steps of all series in one answer


@dataclass(frozen=True, slots=True)
class Windows:
    """The newest observations of series, as a feed's table has them."""

    feed: Feed
    of: Mapping[Key, Window]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request wants.

    Attributes:
        observations: what was observed before the first step.
        whole: whether the model gets all observations of a series; else those of its window, as in the stream.
        exog: the exogenous columns of the steps; None: they stay as they were last, as in the stream.
    """

    observations: Values | Read | Windows
    steps: int
    whole: bool = False
    exog: Values | None = None

    @property
    def count(self) -> int:
        """How large it is."""
        given = self.observations
        return self.steps + (len(given.of) if isinstance(given, Windows) else given.count)


@dataclass(frozen=True, slots=True)
class Ahead:
    """The next steps of one series.

    Attributes:
        key: the values of its key columns, by name.
        after: the time of its newest observation.
        observations: that the model got.
        times: of the steps; None where the stream has none in `forecast_time`.
        values: shape (steps, features, 3): forecast, lower and upper bound; NaN of features that are not forecast.
    """

    key: dict[str, Any]
    after: Any
    observations: int
    times: list[Any]
    values: Floats


@dataclass(frozen=True)
class ServedSeries:
    """One version, ready to forecast.

    Attributes:
        digest: SHA-256 of its files.
        trained_on: the end of the series that it was trained on; None if the version does not have it.
    """

    model: SeriesModel
    signature: "ModelSignature | None"
    inputs: Inputs
    digest: str
    trained_on: Values | None
    batcher: Batcher[Asked, list[Ahead]]

    @classmethod
    def of(
        cls,
        model: SeriesModel,
        signature: "ModelSignature | None",
        inputs: Inputs,
        digest: str,
        trained_on: Values | None,
        pool: Executor,
        settings: Serving,
    ) -> "ServedSeries":
        """With a queue of its own."""

        def answer(requests: Sequence[Asked]) -> list[list[Ahead] | Exception]:
            return [_answer(request, model, inputs) for request in requests]

        batcher = Batcher(answer, pool, lambda asked: Weight(asked.count), bounds_of(settings))
        return cls(model, signature, inputs, digest, trained_on, batcher)

    async def forecast(self, asked: Asked) -> list[Ahead]:
        """The next steps of each series that a request has observations of.

        Raises:
            RequestError: a row is refused, a series cannot be forecast (400), or the model fails (422).
        """
        begun = time.perf_counter_ns()
        statistics = self.batcher.statistics
        try:
            ahead = await self.batcher.ask(asked)
        except Exception:
            statistics.fail.add(time.perf_counter_ns() - begun)
            raise
        statistics.answered(sum(len(one.values) for one in ahead), time.perf_counter_ns() - begun)
        return ahead


def _answer(asked: Asked, model: SeriesModel, inputs: Inputs) -> list[Ahead] | Exception:
    try:
        return forecast_ahead(asked, model, inputs)
    except Exception as error:  # it is the answer of this request, and no matter of those beside it
        return error


def forecast_ahead(asked: Asked, model: SeriesModel, inputs: Inputs) -> list[Ahead]:
    """The forecasts after the newest observation of each series.

    1. The observations into their series, by the stream's rules; what it would refuse or mark is refused. So is what is
    not the exogenous columns of the steps.
    2. The stream's call of the model for the windows that they end with.  3. The times of the steps.

    Raises:
        RequestError: as of `ServedSeries.forecast`.
    """
    given = asked.observations
    # 1
    if isinstance(given, Windows):
        feed, series = given.feed, _stored(given, model)
    else:
        feed, series = inputs.feed, _observed(given, model, inputs, asked.whole)
    if not series:
        raise RequestError(400, "found no observation, wanted those before the first step")
    if len(series) * asked.steps > MOST_FORECASTS:
        raise RequestError(400, f"{len(series)} series of {asked.steps} steps, wanted {MOST_FORECASTS:,} steps at most")
    for key, one in series.items():
        if (found := len(one.window.times)) < model.window_rows:
            which = _which(key, feed)
            raise RequestError(400, f"{which}found {found} observations, wanted at least {model.window_rows}")
    ahead = None
    if asked.exog is not None:
        newest = {key: one.window.times for key, one in series.items()}
        ahead = regressors_of(asked.exog, inputs, model.contract, asked.steps, newest)
    # 2
    values = _values(series, feed, asked.steps, model, ahead)
    # 3
    return [
        Ahead(
            _named(key, feed),
            as_times(np.ma.array(one.window.times[-1:]), feed)[0].as_py(),
            len(one.window.times),
            _steps(one.window.times, asked.steps, model, feed),
            values[key],
        )
        for key, one in series.items()
    ]


def _stored(given: Windows, model: SeriesModel) -> dict[Key, SeriesWindows]:
    series = {key: SeriesWindows(given.feed, model.contract, key, window, Taken()) for key, window in given.of.items()}
    for key, one in series.items():
        if one.obstacle:
            found = RowError(None, None, one.obstacle.reason, _which(key, given.feed) + one.obstacle.detail)
            raise refused_rows([found])
    return series


def _observed(given: Values | Read, model: SeriesModel, inputs: Inputs, whole: bool) -> dict[Key, SeriesWindows]:
    feed = inputs.feed
    if isinstance(given, Read):
        rows, refused = given.rows.with_table(given.rows.table.sort_by("source_line")), given.rejects
    else:
        rows, untyped = typed([given], inputs, frozenset())
        refused = rejects_table(untyped) if untyped else NO_REJECTS
    rows, invalid = validate(_landed_now(rows), feed)
    contract = _contract(model.contract, max(rows.table.num_rows, 1) if whole else 0)
    observed = observe(rows, feed, contract, History(contract.window_rows, {}))
    errors = row_errors(pa.concat_tables([refused, invalid, observed.rejects]))
    blamed = [error for found in errors.values() for error in found]
    if not blamed:
        blamed = _obstacles(observed.series, rows.table, feed)
    if blamed:
        raise refused_rows(sorted(blamed, key=lambda error: error.row or 0))
    return observed.series


def _contract(contract: SeriesContract, rows: int) -> SeriesContract:
    """For windows of at least so many rows."""
    return replace(contract, window_rows=max(contract.window_rows, rows))


def _landed_now(rows: Rows) -> Rows:
    """The rules of times that are ahead hold against the time of the request."""
    table = rows.table
    now = pa.array([datetime.now(UTC)] * table.num_rows, TIME)
    return rows.with_table(table.set_column(table.schema.get_field_index("landed_at"), "landed_at", now))


def _obstacles(series: Mapping[Key, SeriesWindows], table: pa.Table, feed: Feed) -> list[RowError]:
    """The series that the model was not trained for, each by the row that is to blame."""
    found = []
    times, lines = times_of(table, feed), table["source_line"].to_pylist()
    for key, rows in by_series(table, feed):
        if not (obstacle := series[key].obstacle):
            continue
        at = rows[-1] if obstacle.time is None else rows[times[rows] == obstacle.time][-1]
        column = feed.keys[0].name if obstacle.reason is Reason.UNTRAINED else feed.time.name
        found.append(RowError(lines[int(at)], column, obstacle.reason, obstacle.detail))
    return found


def _values(
    series: Mapping[Key, SeriesWindows],
    feed: Feed,
    steps: int,
    model: SeriesModel,
    ahead: Mapping[Key, Floats] | None,
) -> dict[Key, Floats]:
    """The model's forecasts after each series, those with windows of the same length in one call."""
    of_length: dict[int, list[Key]] = {}
    for key, one in series.items():
        of_length.setdefault(len(one.window.times), []).append(key)
    values: dict[Key, Floats] = {}
    for keys in of_length.values():
        windows = np.stack([series[key].window.values for key in keys])
        by = None if ahead is None else np.stack([ahead[key] for key in keys])

        def forecast(start: int, stop: int, windows: Floats = windows, by: Floats | None = by) -> Floats:
            return model.forecast(windows[start:stop], steps, None if by is None else by[start:stop])

        for start, stop, answer in ask(len(keys), forecast):
            if isinstance(answer, Exception):
                reason = Reason.BAD_PREDICTION if isinstance(answer, AnswerError) else Reason.MODEL_ERROR
                raise refused_rows(
                    [RowError(None, None, reason, _which(keys[start], feed) + without_paths(reason_of(answer)))]
                )
            values |= zip(keys[start:stop], answer, strict=True)
    for key, value in values.items():
        if not np.isfinite(value[:, model.forecasts]).all():
            detail = f"{_which(key, feed)}found NaN or infinity, wanted finite forecasts"
            raise refused_rows([RowError(None, None, Reason.BAD_PREDICTION, detail)])
    return values


def _named(key: Key, feed: Feed) -> dict[str, Any]:
    return {column.name: value for column, value in zip(feed.keys, key, strict=True)}


def _which(key: Key, feed: Feed) -> str:
    """Which series, as the begin of a sentence; nothing where there is only one."""
    return "".join(f"{name} {value}: " for name, value in _named(key, feed).items())


def _steps(times: Integers, steps: int, model: SeriesModel, feed: Feed) -> list[Any]:
    """The times of the steps after a window, as the stream has them."""
    return as_times(times_after(times[np.newaxis], steps, model.contract.frequency, feed)[0], feed).to_pylist()
