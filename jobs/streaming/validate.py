"""Nulls, ranges, allowed values: rows in, good rows and rejects out."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.streaming.convert import as_type
from jobs.streaming.rejects import NO_REJECTS, shorten
from jobs.streaming.rows import Rows
from schemas.errors import FeedError
from schemas.feed import Column, Feed
from schemas.reasons import Reason

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
    at = _position(column, rows)
    absent = [name for name, texts in rows.texts.items() if texts[0].origin.header.fields[at] is None]
    return missing & ~_as_mask(pc.is_in(rows.table.column("source_file"), value_set=pa.array(absent, pa.string())))


def _not_finite(values: pa.ChunkedArray, column: Column, _: Rows) -> Mask | None:
    if not column.finite or not pa.types.is_floating(values.type):
        return None
    finite = np.isfinite(_filled(values, 0))
    return None if finite.all() else ~finite


def _out_of_range(values: pa.ChunkedArray, column: Column, _: Rows) -> Mask | None:
    if column.min is None and column.max is None:
        return None
    numbers = _filled(values, column.min if column.min is not None else column.max)
    # in the column's own precision: 0.1 as a float is not above a bound of 0.1
    low, high = (None if b is None else _bound(b, numbers.dtype) for b in (column.min, column.max))
    failing = np.zeros(0, np.bool_)
    if low is not None:
        failing = numbers < low
    if high is not None:
        failing = failing | (numbers > high) if low is not None else numbers > high
    return failing if failing.any() else None


def _not_allowed(values: pa.ChunkedArray, column: Column, _: Rows) -> Mask | None:
    if column.allowed is None:
        return None
    known = pc.or_(pc.is_in(values, value_set=_allowed(column)), pc.is_null(values))
    return None if pc.all(known, min_count=0).as_py() else ~_as_mask(known)
