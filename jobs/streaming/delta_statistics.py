"""Delta's statistics of a Parquet file: what readers skip it by."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

PREFIX = 32  # characters of a string, as delta-spark has it
LAST = "\U0010ffff"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_Bounds = tuple[Any, Any]


def delta_statistics(table: pa.Table, metadata: pq.FileMetaData) -> str:
    """The statistics of a file as Delta's JSON: `numRecords`, `minValues`, `maxValues`, `nullCount`.

    No row is ever outside of them: strings and times are rounded outwards; a column with a NaN has no bounds, because
    engines disagree on its order; booleans and arrays have none by Delta's rules.

    Args:
        table: what the file holds.
        metadata: what Parquet's writer says of it; it has the minima and maxima already, and costs 0.2 ms a
            part where computing them again takes 7 ms per 65,536 rows.
    """
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    names = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    leaves = {name: [group.column(i).statistics for group in groups] for i, name in enumerate(names)}
    low, high, nulls = _of_fields(list(table.schema), table.columns, "", leaves)
    stats = {"numRecords": table.num_rows, "minValues": low, "maxValues": high, "nullCount": nulls}
    return json.dumps(stats, separators=(",", ":"), allow_nan=False)


def _of_fields(
    fields: list[pa.Field], columns: list[pa.ChunkedArray], prefix: str, leaves: dict[str, list[pq.Statistics]]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    nulls: dict[str, Any] = {}
    for field, column in zip(fields, columns, strict=True):
        if pa.types.is_struct(field.type):
            inner = [field.type.field(i) for i in range(field.type.num_fields)]
            children = [pc.struct_field(column, [i]) for i in range(len(inner))]
            parts = _of_fields(inner, children, f"{prefix}{field.name}.", leaves)
            for of_all, of_struct in zip((low, high, nulls), parts, strict=True):
                if of_struct:
                    of_all[field.name] = of_struct
            continue
        nulls[field.name] = column.null_count
        if bounds := _bounds(field.type, column, leaves.get(prefix + field.name, [])):
            smallest, largest = bounds
            if smallest is not None:
                low[field.name] = smallest
            if largest is not None:
                high[field.name] = largest
    return low, high, nulls


def _bounds(kind: pa.DataType, column: pa.ChunkedArray, found: list[pq.Statistics]) -> _Bounds | None:
    """The smallest and the largest value as they stand in Delta's JSON; None where there are none to give."""
    write = next((write for is_kind, write in _WRITE if is_kind(kind)), None)
    # an all-null row group has no bounds either; neither has one whose strings are too long for Parquet's own
    found = [stats for stats in found if stats is not None and (stats.has_min_max or stats.num_values)]
    if write is None or not found or not all(stats.has_min_max for stats in found):
        return None
    if pa.types.is_floating(kind) and pc.any(pc.is_nan(column)).as_py():
        return None
    if pa.types.is_integer(kind) or pa.types.is_temporal(kind):  # times as numbers: exact, and no datetime is made
        return write(min(s.min_raw for s in found), max(s.max_raw for s in found))
    return write(min(s.min for s in found), max(s.max for s in found))


def _numbers(low: float, high: float) -> _Bounds:
    # Parquet's writer gives -0.0 and 0.0 where a bound is zero, which is right in every order
    finite = float("inf")
    return (low if abs(low) != finite else None), (high if abs(high) != finite else None)


def _strings(low: str, high: str) -> _Bounds:
    if len(high) <= PREFIX:
        return low[:PREFIX], high
    return low[:PREFIX], None if high[PREFIX] == LAST else high[:PREFIX] + LAST


def _dates(low: int, high: int) -> _Bounds:
    try:
        return tuple(str(date(1970, 1, 1) + timedelta(days)) for days in (low, high))  # type: ignore[return-value]  # two
    except OverflowError:
        return None, None


def _times(low: int, high: int) -> _Bounds:
    """Microseconds since 1970, rounded outwards to the milliseconds that Delta's statistics have."""
    try:
        return _time(low // 1000), _time(-(-high // 1000))
    except OverflowError:
        return None, None


def _time(milliseconds: int) -> str:
    time = EPOCH + timedelta(milliseconds=milliseconds)
    return time.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


_WRITE: list[tuple[Callable[[pa.DataType], bool], Callable[[Any, Any], _Bounds]]] = [
    (pa.types.is_floating, _numbers),
    (pa.types.is_integer, _numbers),
    (pa.types.is_string, _strings),
    (pa.types.is_timestamp, _times),
    (pa.types.is_date32, _dates),
]
