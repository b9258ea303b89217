"""Rows in, a prediction for each or a reason why not."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from schemas.reasons import Reason
from streamscore.models.answers import AnswerError, null_or_nan
from streamscore.models.example import TEXT
from streamscore.models.row_model import Model
from streamscore.reading.read import Rows
from streamscore.reading.rejects import NO_REJECTS
from streamscore.scoring.ask import Asked, ask, reason_of


@dataclass(frozen=True, slots=True)
class _Failed:
    row: int
    reason: Reason
    detail: str


def predict(rows: Rows, model: Model) -> tuple[pa.Table, pa.Table]:
    """The rows with their `prediction`, and the rejects: `model_error` and `bad_prediction`.

    One call of the model; `ask` says what is done where it fails.
    """
    table = rows.table
    field = pa.field("prediction", model.output)
    if table.num_rows == 0:
        return _without_text(table).append_column(field, pa.array([], model.output)), NO_REJECTS
    pieces: list[pa.Array] = []
    failed: list[_Failed] = []
    for start, stop, outcome in _ask(table, model):
        if isinstance(outcome, Exception):
            reason = Reason.BAD_PREDICTION if isinstance(outcome, AnswerError) else Reason.MODEL_ERROR
            detail = reason_of(outcome)
            failed += [_Failed(row, reason, detail) for row in range(start, stop)]
            pieces.append(pa.nulls(stop - start, model.output))
        else:
            failed += _bad(outcome, start)
            pieces.append(outcome)
    predicted = _without_text(table).append_column(field, pa.chunked_array(pieces, model.output))
    if not failed:
        return predicted, NO_REJECTS
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
    """One prediction a row; null where the model raises, or gives null, NaN or an answer of another shape."""
    if table.num_rows == 0:
        return pa.array([], model.output)
    pieces = [
        pa.nulls(stop - start, model.output) if isinstance(outcome, Exception) else outcome
        for start, stop, outcome in _ask(table, model)
    ]
    values = pa.concat_arrays(pieces)
    return pc.if_else(null_or_nan(values), pa.scalar(None, model.output), values)


def _ask(table: pa.Table, model: Model) -> Iterator[Asked[pa.Array]]:
    return ask(table.num_rows, lambda start, stop: model.predict(table.slice(start, stop - start)))


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
