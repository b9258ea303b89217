"""Delta's statistics of a Parquet file: what readers skip it by."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

PREFIX = 32  # characters of a string, as delta-spark has it
LAST = "\U0010ffff"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_Bounds = tuple[Any, Any]


def with_bounds(table: pa.Table) -> bool | list[str]:
    """The columns of which Parquet may keep bounds; True for all.

    Parquet's bounds pass over NaN: Spark, to which NaN is the largest number, would not find it by `x > 5`.
    """
    leaves = list(_leaves(table.schema.names, table.columns))
    good = [name for name, values in leaves if not _has_nan(values)]
    return good if len(good) < len(leaves) else True


def delta_statistics(table: pa.Table, metadata: pq.FileMetaData) -> str:
    """The statistics of a file as Delta's JSON: `numRecords`, `minValues`, `maxValues`, `nullCount`.

    Every column that has a value has both bounds, an array excepted: where one is missing, `deltalake` 1.6.6 gives
    pyarrow a file of which no row passes a filter on that column. No row is outside of them: strings and times are
    rounded outwards, and a column with a NaN, whose place engines disagree on, spans all numbers. Only a search for
    exactly NaN or infinity may miss rows, since JSON has no word for those.

    Args:
        table: what the file holds.
        metadata: what Parquet's writer says of it, told `with_bounds`; it has the minima and maxima already, and costs
            0.2 ms a part where computing them again takes 7 ms per 65,536 rows.
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
            low[field.name], high[field.name] = bounds
    return low, high, nulls


def _leaves(names: list[str], columns: list[pa.ChunkedArray]) -> Iterator[tuple[str, pa.ChunkedArray]]:
    """Columns that are no structs, and the fields of those that are, by their names in Parquet."""
    for name, column in zip(names, columns, strict=True):
        if pa.types.is_struct(column.type):
            inner = [column.type.field(i).name for i in range(column.type.num_fields)]
            fields = [pc.struct_field(column, [i]) for i in range(len(inner))]
            yield from _leaves([f"{name}.{field}" for field in inner], fields)
        else:
            yield name, column


def _has_nan(column: pa.ChunkedArray) -> bool:
    return pa.types.is_floating(column.type) and bool(pc.any(pc.is_nan(column)).as_py())


def _bounds(kind: pa.DataType, column: pa.ChunkedArray, found: list[pq.Statistics]) -> _Bounds | None:
    """The smallest and the largest value as they stand in Delta's JSON; None where there are none to give."""
    write = next((write for is_kind, write in _WRITE if is_kind(kind)), None)
    if write is None or column.null_count == len(column):
        return None
    found = [stats for stats in found if stats is not None and stats.num_values]
    if pa.types.is_floating(kind):
        widest = float(np.finfo(f"f{kind.bit_width // 8}").max)  # to_pandas_dtype would import pandas: 1.2 s
        if not found:  # as `with_bounds` has it of a column with a NaN
            return -widest, widest
        low, high = min(s.min for s in found), max(s.max for s in found)
        return max(min(low, widest), -widest), max(min(high, widest), -widest)
    if not all(stats.has_min_max for stats in found):  # Parquet keeps no bounds of more than 4 KB
        both = pc.min_max(column)
        return write(both["min"].as_py(), both["max"].as_py())
    if pa.types.is_integer(kind) or pa.types.is_temporal(kind):  # times as numbers: exact, and no datetime is made
        return write(min(s.min_raw for s in found), max(s.max_raw for s in found))
    return write(min(s.min for s in found), max(s.max for s in found))


def _as_they_are(low: float, high: float) -> _Bounds:
    return low, high


def _strings(low: str, high: str) -> _Bounds:
    """Prefixes; what is cut off the largest is made up for by the last of all characters."""
    length = PREFIX
    while high[length : length + 1] == LAST:
        length += 1
    return low[:PREFIX], high if len(high) <= length else high[:length] + LAST


def _dates(low: int, high: int) -> _Bounds:
    return _date(low), _date(high)


def _date(days: int) -> str:
    return str(date.fromordinal(min(max(days + EPOCH.toordinal(), 1), date.max.toordinal())))


def _times(low: int, high: int) -> _Bounds:
    """Microseconds since 1970, rounded outwards to the milliseconds that Delta's statistics have."""
    return _time(low // 1000), _time(-(-high // 1000))


def _time(milliseconds: int) -> str:
    try:
        time = EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return "9999-12-31T23:59:59.999999Z" if milliseconds > 0 else "0001-01-01T00:00:00.000Z"
    return time.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


_WRITE: list[tuple[Callable[[pa.DataType], bool], Callable[[Any, Any], _Bounds]]] = [
    (pa.types.is_floating, _as_they_are),
    (pa.types.is_integer, _as_they_are),
    (pa.types.is_boolean, _as_they_are),
    (pa.types.is_string, _strings),
    (pa.types.is_timestamp, _times),
    (pa.types.is_date32, _dates),
]
