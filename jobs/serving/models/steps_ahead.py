"""The exogenous columns of the steps that a request asks for: rows in, the numbers of each series out."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from jobs.serving.models.served_model import row_errors
from jobs.serving.requests.contract import Inputs
from jobs.serving.requests.problems import RequestError, RowError, refused_rows
from jobs.serving.requests.values import Values, typed
from schemas.feed import Feed
from schemas.reasons import Reason
from schemas.signature import SeriesContract
from streamscore.forecasting.forecast import as_times, times_after
from streamscore.forecasting.history import Integers, Key, by_series, times_of
from streamscore.models.series_model import Floats
from streamscore.reading.rejects import rejects_table
from streamscore.reading.rows import Rows
from streamscore.reading.validate import validate


def exog_inputs(inputs: Inputs) -> Inputs:
    """What a row of the steps must hold: the key columns and the exogenous ones; the time may be there."""
    feed = inputs.feed
    time = feed.time.model_copy(update={"nullable": True})
    columns = (time, *feed.keys, *feed.exogenous)
    names = tuple(column.name for column in (*feed.keys, *feed.exogenous))
    return replace(inputs, feed=feed.model_copy(update={"columns": columns}), names=names)


def regressors_of(
    given: Values, inputs: Inputs, contract: SeriesContract, steps: int, newest: Mapping[Key, Integers]
) -> dict[Key, Floats]:
    """The exogenous columns of the steps of each series, shape (steps, columns of `feed.exogenous`).

    Args:
        given: a row for each step of each series, in the order of the steps.
        inputs: of the model's observations.
        newest: for each series, the times of its window, after which the steps are.

    Raises:
        RequestError: a row is refused as the stream would, a series has another number of rows than steps or is none
            that is forecast, or a row is of another time than its step.
    """
    of_steps = exog_inputs(inputs)
    rows, untyped = typed([given], of_steps, frozenset())
    rows, invalid = validate(rows, of_steps.feed)
    errors = row_errors(pa.concat_tables([rejects_table(untyped), invalid]))
    if blamed := [_in_exog(error) for found in errors.values() for error in found]:
        raise refused_rows(sorted(blamed, key=lambda error: error.row or 0))
    found = dict(by_series(rows.table, of_steps.feed))
    for key in dict.fromkeys([*newest, *found]):
        count, wanted = len(found.get(key, ())), steps if key in newest else 0
        if count != wanted:
            raise RequestError(400, f"exog has {count} rows{_of(key, inputs.feed)}, wanted {wanted}, one for each step")
    numbers = [rows.table[column.table_name].to_numpy() for column in inputs.feed.exogenous]
    values = np.stack(numbers, axis=1).astype(np.float64)
    for key, at in found.items():
        _assert_times(rows, at, newest[key], contract, of_steps.feed)
    return {key: values[at] for key, at in found.items()}


def _assert_times(rows: Rows, at: Integers, newest: Integers, contract: SeriesContract, feed: Feed) -> None:
    """Hold the times of a series' rows, where there are any, against those of the steps."""
    shown = rows.table[feed.time.table_name].take(pa.array(at))
    if shown.null_count == len(shown):
        return
    lines = rows.table["source_line"].take(pa.array(at)).to_pylist()
    if shown.null_count:
        raise RequestError(400, f"exog has a row without {feed.time.name}; give it for each row, or for none")
    times = times_of(rows.table.select([feed.time.table_name]).take(pa.array(at)), feed)
    wanted = times_after(newest[np.newaxis], len(at), contract.frequency, feed)[0]
    is_known = ~np.ma.getmaskarray(wanted)
    wrong = np.flatnonzero(is_known & (times != wanted.data))
    if len(wrong):
        step = int(wrong[0])
        due = as_times(wanted[step : step + 1], feed)[0].as_py()
        detail = f"in exog: found {shown[step].as_py()}, wanted {due}, the time of step {step + 1}"
        raise refused_rows([RowError(lines[step], feed.time.name, Reason.GAP, detail)])
    back = np.flatnonzero(np.diff(np.append(newest[-1:], times)) <= 0)
    if len(back):
        step = int(back[0])
        detail = f"in exog: found {shown[step].as_py()}, wanted times after the newest observation, each after the last"
        raise refused_rows([RowError(lines[step], feed.time.name, Reason.LATE, detail)])


def _in_exog(error: RowError) -> RowError:
    return replace(error, detail=f"in exog: {error.detail}")


def _of(key: Key, feed: Feed) -> str:
    said = ", ".join(f"{column.name} {value}" for column, value in zip(feed.keys, key, strict=True))
    return f" of {said}" if said else ""
