"""Parquet and Arrow: bodies that are small and stand for much, and bodies that are damaged."""

import contextlib
import io
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.serving.requests.body import Body
from jobs.serving.requests.columnar import ARROW, MOST_ROWS, PARQUET, read_columns
from jobs.serving.requests.parquet_pages import unpacked_pages
from jobs.serving.requests.problems import RequestError

MOST = 2**20
LONG = "x" * 10_000


def read(data: bytes, kind: str) -> dict[str, list[Any]]:
    found = read_columns(Body(data, kind, MOST))
    assert {len(values) for values in found.values} <= {found.rows}
    return dict(zip(found.names, found.values, strict=True))


def arrow_of(table: pa.Table, compression: str | None = None) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def parquet_of(table: pa.Table, compression: str = "snappy") -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression=compression)
    return sink.getvalue()


EVERY = pa.table(
    {
        "text": ["a", None, "é"],
        "word": pa.array(["a", "b", None]).dictionary_encode(),
        "number": pa.array([1, None, 2], pa.int32()).dictionary_encode(),
        "view": pa.array(["a", "b" * 20, None], pa.string_view()),
        "double": [1.5, None, 2.0],
        "boolean": [True, None, False],
        "time": pa.array([0, None, 1], pa.timestamp("us", "UTC")),
        "decimal": pa.array([None, 1, 2], pa.decimal128(5, 2)),
        "nothing": pa.nulls(3),
        "bytes": [b"a", None, b""],
    }
)


@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
def test_a_stream_is_read_without_its_dictionaries(compression: str | None) -> None:
    assert read(arrow_of(EVERY, compression), ARROW) == EVERY.to_pydict()
    assert read(arrow_of(EVERY.slice(1, 2)), ARROW) == EVERY.slice(1, 2).to_pydict()
    assert read(arrow_of(EVERY.slice(0, 0)), ARROW) == {name: [] for name in EVERY.column_names}


def test_a_file_is_read_without_its_dictionaries() -> None:
    assert read(parquet_of(EVERY), PARQUET) == EVERY.to_pydict()


@pytest.mark.parametrize(("kind", "write"), [(ARROW, arrow_of), (PARQUET, parquet_of)])
def test_a_time_of_any_unit_is_one_that_python_has_or_refused(kind: str, write: Callable[[pa.Table], bytes]) -> None:
    when = datetime.fromisoformat("2024-05-06T07:08:09")
    for unit in ("s", "ms", "us", "ns"):
        (found,) = read(write(pa.table({"t": pa.array([when], pa.timestamp(unit))})), kind)["t"]
        assert (type(found), found) == (datetime, when)
    for column in (
        pa.array([1], pa.timestamp("ns")),
        pa.array([2**62], pa.timestamp("us")),
        pa.array([0], pa.timestamp("us", "Nowhere/At all")),
        pa.array([2**62], pa.timestamp("s")),
    ):
        with contextlib.suppress(pa.ArrowInvalid):  # Parquet has no such seconds
            with pytest.raises(RequestError) as refused:
                read(write(pa.table({"t": column})), kind)
            assert refused.value.status == 400


def words(count: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(np.zeros(count, np.int8), pa.array([LONG]))


def views(count: int) -> pa.Array:
    """All show the same text."""
    one = struct.pack("<i4sii", len(LONG), LONG[:4].encode(), 0, 0)
    buffers = [None, pa.py_buffer(one * count), pa.py_buffer(LONG.encode())]
    return pa.Array.from_buffers(pa.string_view(), count, buffers)


def in_batches() -> bytes:
    """Each is small, and all together are not."""
    return arrow_of(pa.concat_tables([pa.table({"x": words(20)})] * 10))


BOMBS: dict[str, Callable[[], tuple[str, bytes]]] = {
    "zeros in Arrow": lambda: (ARROW, arrow_of(pa.table({"x": np.zeros(10**6)}), "zstd")),
    "zeros in a dictionary": lambda: (
        ARROW,
        arrow_of(pa.table({"x": pa.DictionaryArray.from_arrays([0], pa.array(np.zeros(10**6)))}), "lz4"),
    ),
    "a dictionary in Arrow": lambda: (ARROW, arrow_of(pa.table({"x": words(1000)}))),
    "several batches": lambda: (ARROW, in_batches()),
    "views in Arrow": lambda: (ARROW, arrow_of(pa.table({"x": views(1000)}))),
    "nothing at all in Arrow": lambda: (ARROW, arrow_of(pa.table({"x": pa.nulls(MOST_ROWS + 1)}))),
    "zeros in Parquet": lambda: (PARQUET, parquet_of(pa.table({"x": np.zeros(10**6)}))),
    "a dictionary in Parquet": lambda: (PARQUET, parquet_of(pa.table({"x": [LONG] * 1000}))),
    "bytes in Parquet": lambda: (PARQUET, parquet_of(pa.table({"x": [LONG.encode()] * 1000}))),
    "long text in Parquet": lambda: (PARQUET, parquet_of(pa.table({"x": ["x" * 10**7]}), "zstd")),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_would_be_more_than_a_body_may_have_is_refused_before_it_is_unpacked(bomb: str) -> None:
    kind, data = BOMBS[bomb]()
    assert len(data) < MOST / 4
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    with pytest.raises(RequestError) as refused:
        read(data, kind)
    python = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused.value.status == 413
    assert pa.total_allocated_bytes() - before < MOST
    assert python < 4 * MOST


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1.0]] * 3),
        pa.array([{"a": 1}] * 3),
        pa.array([[("a", 1)]] * 3, pa.map_(pa.string(), pa.int64())),
        pa.array([[1.0, 2.0]] * 3, pa.list_(pa.float64(), 2)),
        pa.RunEndEncodedArray.from_arrays([3], [LONG]),
        pa.array([b"ab"] * 3, pa.binary(2)),
    ],
    ids=["list", "struct", "map", "fixed list", "runs", "fixed bytes"],
)
def test_a_column_that_no_input_can_be_is_refused(column: pa.Array) -> None:
    for kind, write in ((ARROW, arrow_of), (PARQUET, parquet_of)):
        if kind == PARQUET and isinstance(column, pa.RunEndEncodedArray):
            continue  # Arrow does not write it
        with pytest.raises(RequestError, match="which no input can be") as refused:
            read(write(pa.table({"x": column})), kind)
        assert refused.value.status == 400


DAMAGE = """
import random, sys
import numpy as np, pyarrow as pa
from jobs.serving.requests.columnar import ARROW, PARQUET
from jobs.serving.requests.parquet_pages import unpacked_pages
from jobs.serving.requests.problems import RequestError
from tests.unit.jobs.serving.requests.test_columnar import EVERY, arrow_of, parquet_of, read
chance, found = random.Random(7), 0
bodies = (ARROW, arrow_of(EVERY)), (ARROW, arrow_of(EVERY, "zstd")), (PARQUET, parquet_of(EVERY))
for kind, data in bodies:
    for _ in range(int(sys.argv[1])):
        spoiled = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            spoiled[chance.randrange(len(spoiled))] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
        try:
            read(bytes(spoiled), kind)
        except RequestError as error:
            assert error.status in (400, 413)
            found += 1
print(found)
"""


@pytest.mark.parametrize("times", [300, pytest.param(2_000, marks=pytest.mark.repeats)])
def test_no_damaged_body_ends_the_process_or_is_read_beyond_its_end(times: int) -> None:
    command = [sys.executable, "-c", DAMAGE, str(times)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > times / 2


@pytest.mark.parametrize("version", ["1.0", "2.6"])
@pytest.mark.parametrize("pages", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_pages_are_as_large_as_the_end_of_a_file_says(version: str, pages: str, compression: str) -> None:
    table = pa.table({"x": np.arange(5000.0), "t": [f"text {n % 70}" for n in range(5000)], "n": [None, 1] * 2500})
    sink = io.BytesIO()
    how: dict[str, Any] = {"version": version, "data_page_version": pages, "compression": compression}
    pq.write_table(table, sink, row_group_size=1500, data_page_size=1000, **how)
    groups = pq.read_metadata(io.BytesIO(sink.getvalue()))
    said = sum(groups.row_group(at).total_byte_size for at in range(groups.num_row_groups))
    headers = said - unpacked_pages(sink.getvalue())  # which the end of the file counts, too
    assert 0 < headers < said / 4
    assert read(sink.getvalue(), PARQUET) == table.to_pydict()


def test_an_end_that_says_less_than_its_pages_have_is_not_believed() -> None:
    data = bytearray(parquet_of(pa.table({"x": ["x" * 10**7]}), "zstd"))
    group = pq.read_metadata(io.BytesIO(data)).row_group(0)
    for size in {group.total_byte_size, group.column(0).total_uncompressed_size}:
        true, less = varint(2 * size), varint(2 * 25)
        found = data.rfind(true)
        while found >= 0:
            data[found : found + len(true)] = bytes([less[0] | 128, *[128] * (len(true) - 2), 0])
            found = data.rfind(true)
    assert pq.read_metadata(io.BytesIO(data)).row_group(0).total_byte_size == 25
    assert unpacked_pages(bytes(data)) > 10**7
    with pytest.raises(RequestError, match="larger than"):
        read(bytes(data), PARQUET)


def varint(value: int) -> bytes:
    found = bytearray()
    while value >= 128:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


@pytest.mark.parametrize("kind", [1, 7, 8, 9, 12])
def test_a_list_without_end_is_not_followed(kind: int) -> None:
    footer = bytes([0x49, 0xF0 | kind, *[255] * 8, 127])
    with pytest.raises(ValueError, match="damaged, or too much"):
        unpacked_pages(b"PAR1" + bytes(100) + footer + len(footer).to_bytes(4, "little") + b"PAR1")
