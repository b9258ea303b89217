"""Nulls, ranges, allowed values: rows in, good rows and rejects out."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.feed import Column, Feed
from schemas.reasons import Reason
from streamscore.reading.rejects import NO_REJECTS, shorten
from streamscore.reading.rows import Rows

SHOWN = 20  # allowed values in a reject

Mask = npt.NDArray[np.bool_]


def validate(rows: Rows, feed: Feed) -> tuple[Rows, pa.Table]:
    """The rows that keep the feed's promises, and the others as REJECTS_SCHEMA.

    Each of the others is there once: the first column of the feed that is to blame, and of that the first of
    `null_not_allowed`, `not_finite`, `out_of_range`, `not_allowed`.
    """
    refused: Mask | None = None
    rejects = [NO_REJECTS]
    for column in feed.columns:
        values = rows.table.column(column.table_name)
        for reason, check, wanted in _CHECKS:
            failing = check(values, column, rows)
            if failing is None:
                continue
            if refused is None:
                refused = np.zeros(len(values), np.bool_)
            indices = np.flatnonzero(failing & ~refused)
            if not len(indices):
                continue
            refused[indices] = True
            found = values.take(pa.array(indices)).to_pylist()
            details = [f"found {_shown(value)}, wanted {wanted(column)}" for value in found]
            rejects.append(rows.reject(indices.tolist(), reason, column.name, details))
    if refused is None or not refused.any():
        return rows, NO_REJECTS
    return rows.with_table(rows.table.filter(pa.array(~refused))), pa.concat_tables(rejects)


def _nulls(values: pa.ChunkedArray, column: Column, rows: Rows) -> Mask | None:
    """A target may be absent from a file, whatever the feed says of its nulls."""
    if column.nullable or not values.null_count:
        return None
    missing = _as_mask(pc.is_null(values))
    if column.role != "target":
        return missing
    absent = [name for name, texts in rows.texts.items() if column.name in texts[0].origin.header.absent]
    return missing & ~_as_mask(pc.is_in(rows.table.column("source_file"), value_set=pa.array(absent, pa.string())))


def _not_finite(values: pa.ChunkedArray, column: Column, _: Rows) -> Mask | None:
    if not column.finite or not pa.types.is_floating(values.type):
        return None
    finite = np.isfinite(_filled(values, 0))
    return None if finite.all() else ~finite


def _out_of_range(values: pa.ChunkedArray, column: Column, _: Rows) -> Mask | None:
    if column.min is None and column.max is None:
        return None
    numbers = _filled(values, 0)
    failing = np.zeros(len(numbers), np.bool_)
    if column.min is not None:
        failing |= numbers < _bound(column.min, numbers, math.ceil)
    if column.max is not None:
        failing |= numbers > _bound(column.max, numbers, math.floor)
    if not failing.any():
        return None
    return failing & _as_mask(pc.is_valid(values)) if values.null_count else failing


def _bound(bound: int | float, numbers: npt.NDArray[Any], to_whole: Callable[[float], int]) -> Any:
    # in a float column's own precision: 0.1 as a float is not above a bound of 0.1; whole numbers beyond 2^53 are not
    # compared as floats
    return numbers.dtype.type(bound) if numbers.dtype.kind == "f" else to_whole(bound)


def _not_allowed(values: pa.ChunkedArray, column: Column, _: Rows) -> Mask | None:
    if column.allowed is None:
        return None
    known = pc.or_(pc.is_in(values, value_set=column.allowed_values), pc.is_null(values))
    return None if pc.all(known, min_count=0).as_py() else ~_as_mask(known)


def _filled(values: pa.ChunkedArray, default: int) -> npt.NDArray[Any]:
    """The values as numbers, `default` where they are null; no copy where nothing is null."""
    if values.null_count:
        values = pc.fill_null(values, default)
    return values.chunk(0).to_numpy() if values.num_chunks == 1 else values.to_numpy()


def _as_mask(values: pa.ChunkedArray) -> Mask:
    return values.to_numpy().astype(np.bool_)


def _shown(value: Any) -> str:
    if value is None:
        return "no value"
    return shorten(value) if isinstance(value, str) else str(value)


def _range(column: Column) -> str:
    limits = {"at least": column.min, "at most": column.max}
    return " and ".join(f"{which} {_written(limit)}" for which, limit in limits.items() if limit is not None)


def _written(limit: int | float) -> str:
    return str(limit) if isinstance(limit, int) else f"{limit:.15g}"


def _one_of(column: Column) -> str:
    allowed = column.allowed or ()
    more = f" or {len(allowed) - SHOWN:,} more" if len(allowed) > SHOWN else ""
    return f"one of {', '.join(shorten(v) if isinstance(v, str) else str(v) for v in allowed[:SHOWN])}{more}"


Check = Callable[[pa.ChunkedArray, Column, Rows], Mask | None]

# The reason, what finds the values it applies to (None: not one), and what is wanted instead.
_CHECKS: tuple[tuple[Reason, Check, Callable[[Column], str]], ...] = (
    (Reason.NULL_NOT_ALLOWED, _nulls, lambda column: column.type),
    (Reason.NOT_FINITE, _not_finite, lambda column: f"a finite {column.type}"),
    (Reason.OUT_OF_RANGE, _out_of_range, _range),
    (Reason.NOT_ALLOWED, _not_allowed, _one_of),
)
