"""Rows of a table as JSON lines that every reader of JSON takes."""

import json
import math
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

import pyarrow as pa

ROWS_AT_ONCE = 10_000  # as Python objects, about 1 KB each


def json_lines(rows: pa.Table) -> Iterator[str]:
    """One object a row, without its line end; times in ISO 8601, NaN and infinity as null, since JSON has none."""
    for some in rows.to_batches(max_chunksize=ROWS_AT_ONCE):
        columns = [_values(column) for column in some.columns]
        for values in zip(*columns, strict=True):
            yield json.dumps(dict(zip(rows.column_names, values, strict=True)), ensure_ascii=False, allow_nan=False)


def _values(column: pa.Array) -> Iterator[Any]:
    try:
        found = column.to_pylist()
    except (ValueError, OverflowError):  # a year that Python has not
        found = column.cast(pa.string()).to_pylist()
    return map(plain, found)


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case datetime() | date() | time():
            return value.isoformat()
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case bytes():
            return value.hex()
    return str(value)
