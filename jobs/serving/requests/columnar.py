"""Parquet and Arrow → a table of plain columns: a small body may stand for very much, and nothing of it is believed.

What a format says of itself is held against the bounds before it is unpacked, and what came out before it is handed on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from jobs.serving.requests.arrow_messages import unpacked_bytes
from jobs.serving.requests.body import Body
from jobs.serving.requests.parquet_pages import unpacked_pages
from jobs.serving.requests.problems import RequestError

PARQUET = "application/vnd.apache.parquet"
ARROW = "application/vnd.apache.arrow.stream"
MOST_ROWS = 1_000_000  # of a body, of which a kilobyte can hold a thousand million
_TEXTS = (
    types.is_string,
    types.is_large_string,
    types.is_string_view,
    types.is_binary,
    types.is_large_binary,
    types.is_binary_view,
)


@dataclass(frozen=True, slots=True)
class Columns:
    """A table as lists of Python's values.

    Attributes:
        names: of the columns; one may be there twice.
        values: of each.
        rows: how many there are.
    """

    names: list[str]
    values: list[list[Any]]
    rows: int


def read_columns(body: Body) -> Columns:
    """The rows of a Parquet file or an Arrow stream; each value counts as often as it is there.

    Raises:
        RequestError: it has more rows or bytes than it may (413), or columns of a kind that no input has, or it is
            damaged (400).
    """
    try:
        table = (_read_parquet if body.kind == PARQUET else _read_arrow)(body.data, body.most)
        return Columns(table.column_names, [column.to_pylist() for column in table.columns], table.num_rows)
    except (pa.ArrowException, OSError, ValueError, LookupError, ArithmeticError) as error:  # of values, too
        what = str(error).partition("\n")[0][:200]
        raise RequestError(400, f"the body cannot be read as {body.kind}: {what}") from error


def _read_parquet(data: bytes, most: int) -> pa.Table:
    file = pq.ParquetFile(pa.BufferReader(data))
    metadata, schema = file.metadata, file.schema_arrow
    _assert_plain(schema)
    _assert_rows(metadata.num_rows)
    width = sum(_width(_plain(field.type)) for field in schema)
    _assert_size(max(unpacked_pages(data), metadata.num_rows * width), most)
    texts = [field.name for field in schema if _is_text(_plain(field.type))]
    file = pq.ParquetFile(pa.BufferReader(data), metadata=metadata, read_dictionary=texts)
    table = file.read()
    table.validate(full=True)
    return _decoded([table], table.schema, most)


def _read_arrow(data: bytes, most: int) -> pa.Table:
    _assert_size(sum(map(unpacked_bytes, pa.ipc.MessageReader.open_stream(pa.py_buffer(data)))), most)
    batches = list[pa.RecordBatch]()
    with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
        _assert_plain(reader.schema)
        rows = 0
        for batch in reader:
            _assert_rows(rows := rows + batch.num_rows)
            batch.validate(full=True)  # offsets that point elsewhere would read elsewhere
            batches.append(batch)
        return _decoded(batches, reader.schema, most)


def _decoded(parts: Sequence[pa.Table | pa.RecordBatch], schema: pa.Schema, most: int) -> pa.Table:
    """The parts in one table without dictionaries."""
    size = 0
    for part in parts:
        for column in part.columns:
            for values in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
                _assert_size(size := size + _bytes_of(values), most)
    plain = pa.schema([(field.name, _plain(field.type)) for field in schema])
    tables = [part if isinstance(part, pa.Table) else pa.Table.from_batches([part]) for part in parts]
    return pa.concat_tables([table.cast(plain) for table in tables]) if tables else plain.empty_table()


def _bytes_of(values: pa.Array) -> int:
    """Of values, each counted as often as it is there."""
    kind = values.type
    if types.is_dictionary(kind):
        of_each = _lengths(values.dictionary)
        return int(pc.sum(pa.array(of_each).take(values.indices)).as_py() or 0)
    return int(_lengths(values).sum())


def _lengths(values: pa.Array) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """The bytes of each value."""
    kind = values.type
    if types.is_string_view(kind) or types.is_binary_view(kind):
        views = np.frombuffer(values.buffers()[1] or b"", np.int32).reshape(-1, 4)
        lengths = views[values.offset : values.offset + len(values), 0].astype(np.int64)
        return np.where(values.is_valid().to_numpy(zero_copy_only=False), lengths, 0)  # a null's view points anywhere
    if _is_text(kind):
        return pc.fill_null(pc.binary_length(values), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.full(len(values), _width(kind), np.int64)


def _width(kind: pa.DataType) -> int:
    """The bytes of a value; of a text at least one."""
    return 1 if types.is_null(kind) or _is_text(kind) else max(kind.bit_width // 8, 1)


def _is_text(kind: pa.DataType) -> bool:
    """Whether values of a type, as text and bytes, may be of any length."""
    return any(of(kind) for of in _TEXTS)


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type of a column without a dictionary; of a time, one that Python holds."""
    kind = kind.value_type if types.is_dictionary(kind) else kind
    return pa.timestamp("us", kind.tz) if types.is_timestamp(kind) else kind


def _assert_plain(schema: pa.Schema) -> None:
    """Refuse columns that no input can have, such as lists."""
    for field in schema:
        kind = field.type.value_type if types.is_dictionary(field.type) else field.type
        if not (types.is_primitive(kind) or types.is_decimal(kind) or types.is_null(kind) or _is_text(kind)):
            raise RequestError(400, f"column '{field.name[:100]}' is {str(field.type)[:100]}, which no input can be")


def _assert_rows(count: int) -> None:
    if count > MOST_ROWS:
        raise RequestError(413, f"{count:,} rows, wanted at most {MOST_ROWS:,}; send several requests")


def _assert_size(size: int, most: int) -> None:
    if size > most:
        raise RequestError(413, f"the values of the body are larger than {most:,} bytes; send several requests")
