"""Rows in, a prediction for each or a reason why not: one call, and a search for the rows that break it."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from schemas.reasons import Reason
from schemas.tables import REJECTS_SCHEMA
from streamscore.models.row_model import TEXT, Model, OutputCountError, null_or_nan
from streamscore.reading.read import Rows


@dataclass(frozen=True, slots=True)
class _Failed:
    row: int
    reason: Reason
    detail: str


def predict(rows: Rows, model: Model) -> tuple[pa.Table, pa.Table]:
    """The rows with their `prediction`, and the rejects: `model_error` and `bad_prediction`.

    A model that raises is asked again about each half, so that only the rows that break it are rejected.
    """
    table = rows.table
    if table.num_rows == 0:
        return _without_text(table).append_column(
            _field(model), pa.array([], model.output)
        ), REJECTS_SCHEMA.empty_table()
    pieces: list[pa.Array] = []
    failed: list[_Failed] = []
    for start, outcome in _ask(table, 0, model):
        if isinstance(outcome, _Failed):
            failed.append(outcome)
        else:
            failed += _bad(outcome, start)
        pieces.append(pa.nulls(1, model.output) if isinstance(outcome, _Failed) else outcome)
    predicted = _without_text(table).append_column(_field(model), pa.chunked_array(pieces, model.output))
    if not failed:
        return predicted, REJECTS_SCHEMA.empty_table()
    good = pa.array([True] * table.num_rows).to_numpy(zero_copy_only=False).copy()
    good[[f.row for f in failed]] = False
    rejects = [
        rows.reject(
            [f.row for f in failed if f.reason is reason],
            reason,
            None,
            [f.detail for f in failed if f.reason is reason],
        )
        for reason in (Reason.MODEL_ERROR, Reason.BAD_PREDICTION)
    ]
    return predicted.filter(pa.array(good)), pa.concat_tables(rejects)


def predict_or_null(table: pa.Table, model: Model) -> pa.Array:
    """One prediction a row; null where the model raises, or gives null or NaN."""
    if table.num_rows == 0:
        return pa.array([], model.output)
    outcomes = [outcome for _, outcome in _ask(table, 0, model)]
    pieces = [pa.nulls(1, model.output) if isinstance(o, _Failed) else o for o in outcomes]
    values = pa.concat_arrays(pieces)
    return pc.if_else(null_or_nan(values), pa.scalar(None, model.output), values)


def _ask(table: pa.Table, start: int, model: Model) -> Iterator[tuple[int, pa.Array | _Failed]]:
    """Predictions of stretches of rows, in order, and single rows that failed."""
    try:
        yield start, model.predict(table)
        return
    except Exception as error:  # a model may raise anything; it costs the row, never the query
        if table.num_rows == 1:
            yield start, _failed(start, error)
            return
    half = table.num_rows // 2
    yield from _ask(table.slice(0, half), start, model)
    yield from _ask(table.slice(half), start + half, model)


def _failed(row: int, error: Exception) -> _Failed:
    if isinstance(error, OutputCountError):
        return _Failed(row, Reason.BAD_PREDICTION, f"{error}, wanted one a row")
    return _Failed(row, Reason.MODEL_ERROR, f"{type(error).__name__}: {error}"[:1000])


def _bad(predictions: pa.Array, start: int) -> list[_Failed]:
    bad = null_or_nan(predictions)
    if not pc.any(bad).as_py():
        return []
    rows = pc.indices_nonzero(bad).to_pylist()
    return [
        _Failed(start + r, Reason.BAD_PREDICTION, f"found {predictions[r].as_py()!r}, wanted a value") for r in rows
    ]


def _without_text(table: pa.Table) -> pa.Table:
    return table.drop_columns([name for name in table.column_names if name.startswith(TEXT)])


def _field(model: Model) -> pa.Field:
    return pa.field("prediction", model.output)
