"""Parquet parts: every row once, in the table's columns, with statistics that hide no row."""

import json
import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from deltalake.transaction import AddAction, RemoveAction
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import StorageError
from schemas.tables import QUARANTINE_SCHEMA, REJECTS_SCHEMA, predictions_schema
from streamscore.storage.folder import LocalFolder
from streamscore.tables.batch import Counts
from streamscore.tables.parts import Parts, write_part
from tests.support.tables_kit import FEED, a_batch, open_tables, parts_of, parts_writer, scored


def stats_of(tmp_path: Path, **columns: Any) -> dict[str, Any]:
    table = pa.table(columns)
    return json.loads(write_part(table, LocalFolder(tmp_path)).stats)


def table_with(path: Path, *tables: pa.Table) -> DeltaTable:
    """A Delta table with one part for each of the tables."""
    table = DeltaTable.create(path, tables[0].schema)
    parts = [write_part(rows, LocalFolder(path)) for rows in tables]
    actions: list[AddAction | RemoveAction] = [AddAction(p.path, p.size, {}, p.modified, True, p.stats) for p in parts]
    table.create_write_transaction(actions, "append", table.schema())
    table.update_incremental()
    return table


def test_a_part_has_the_columns_of_the_table_in_its_order(tmp_path: Path) -> None:
    tables = open_tables(tmp_path)
    parts = parts_of(tables, a_batch(7, "a.csv"), rows=3, rejects=2)
    predictions = pq.read_table(Path(tables.folders[0], parts.predictions[0].path))
    rejects = pq.read_table(Path(tables.folders[1], parts.rejects[0].path))
    assert predictions.schema.equals(predictions_schema(FEED, pa.float64()))
    assert rejects.schema.equals(QUARANTINE_SCHEMA)
    assert (
        predictions.select(["batch_id", "model_name", "model_version", "model_run_id"]).to_pylist()
        == [{"batch_id": 7, "model_name": "wine", "model_version": "3", "model_run_id": "run-3"}] * 3
    )
    assert rejects["app_id"].to_pylist() == ["app"] * 2
    assert rejects["replayed_as"].null_count == 2


def test_rows_are_counted_by_file(tmp_path: Path) -> None:
    writer = parts_writer(open_tables(tmp_path), a_batch(0, "a.csv", "b%20c.csv"))
    writer.add(*scored("a.csv", 3, 2))
    writer.add(*scored("a.csv", 1, 0))
    writer.add(*scored("b c.csv", 0, 5))
    parts = writer.finish()
    assert parts.counts == {"file:///in/a.csv": Counts(4, 2), "file:///in/b%20c.csv": Counts(0, 5)}
    assert parts.reasons == {"bad_type": 7}


def test_a_refused_file_whose_rows_cannot_be_counted_counts_as_unknown(tmp_path: Path) -> None:
    writer = parts_writer(open_tables(tmp_path), a_batch(0, "a.csv"))
    no_predictions, _ = scored("a.csv", 0)
    reject = {"source_file": "a.csv", "reason": "unreadable"}
    writer.add(no_predictions, pa.Table.from_pylist([reject], schema=REJECTS_SCHEMA))
    parts = writer.finish()
    assert parts.counts == {"file:///in/a.csv": Counts(0, None)}
    assert (parts.reasons, parts.refused) == ({"unreadable": 1}, ("file:///in/a.csv",))


def test_small_chunks_share_a_part_and_large_ones_are_split_over_parts(tmp_path: Path) -> None:
    tables = open_tables(tmp_path)
    many = parts_writer(tables, a_batch(0, "a.csv"))
    bounded = parts_writer(tables, a_batch(0, "a.csv"), part_bytes=20_000)
    for _ in range(50):
        many.add(*scored("a.csv", 20))
        bounded.add(*scored("a.csv", 20))
    one, several = many.finish().predictions, bounded.finish().predictions
    assert [part.rows for part in one] == [1000]
    assert 3 < len(several) < 30 and sum(part.rows for part in several) == 1000


def test_discarded_parts_leave_no_file(tmp_path: Path) -> None:
    tables = open_tables(tmp_path)
    writer = parts_writer(tables, a_batch(0, "a.csv"), part_bytes=1)
    writer.add(*scored("a.csv", 20, 3))
    assert len(list(tmp_path.rglob("*.parquet"))) == 2
    writer.discard()
    assert list(tmp_path.rglob("*.parquet")) == [] and writer.finish().predictions == ()


def test_parts_survive_the_way_from_an_executor(tmp_path: Path) -> None:
    tables = open_tables(tmp_path)
    parts = parts_of(tables, a_batch(0, "a.csv", "b.csv"), 3, 1)
    assert Parts.from_json(parts.to_json()) == parts
    cut = replace(parts, truncated=3)
    assert Parts.from_json(cut.to_json()) == cut and Parts.merge([cut, parts, cut]).truncated == 6


def test_parts_of_several_executors_add_up(tmp_path: Path) -> None:
    tables = open_tables(tmp_path)
    one, other = parts_of(tables, a_batch(0, "a.csv"), 3, 1), parts_of(tables, a_batch(0, "b.csv"), 2, 2)
    both = Parts.merge([one, other, Parts()])
    assert len(both.predictions) == 2 and len(both.rejects) == 2
    assert both.counts == {"file:///in/a.csv": Counts(3, 1), "file:///in/b.csv": Counts(2, 2)}
    assert both.reasons == {"bad_type": 3}


def test_a_folder_that_cannot_be_written_is_a_storage_error_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write .*gone/part-.*streamscore doctor"):
        write_part(pa.table({"a": [1]}), LocalFolder(tmp_path / "gone"))


def test_statistics_have_numbers_strings_dates_and_times(tmp_path: Path) -> None:
    stats = stats_of(
        tmp_path,
        i=[3, None, -5],
        f=[-1.5, 2.5, None],
        s=["b", "ä", None],
        d=[date(2020, 1, 2), date(1969, 12, 31), None],
        t=pa.array(
            [datetime(2020, 1, 1, microsecond=1500, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), None]
        ),
        b=[True, False, None],
        n=pa.array([None, None, None], pa.float64()),
    )
    assert stats == {
        "numRecords": 3,
        "minValues": {"i": -5, "f": -1.5, "s": "b", "d": "1969-12-31", "t": "1969-12-31T23:59:59.999Z", "b": False},
        "maxValues": {"i": 3, "f": 2.5, "s": "ä", "d": "2020-01-02", "t": "2020-01-01T00:00:00.002Z", "b": True},
        "nullCount": {"i": 1, "f": 1, "s": 1, "d": 1, "t": 1, "b": 1, "n": 3},
    }


def test_a_column_with_a_nan_spans_all_numbers_and_an_infinite_one_goes_to_the_largest(tmp_path: Path) -> None:
    largest = 1.7976931348623157e308
    stats = stats_of(tmp_path, nan=[1.0, math.nan], inf=[1.0, math.inf], zero=[0.0, 0.0], b=[True, True])
    assert stats["minValues"] == {"nan": -largest, "inf": 1.0, "zero": 0.0, "b": True}
    assert stats["maxValues"] == {"nan": largest, "inf": largest, "zero": 0.0, "b": True}


def test_parquet_keeps_no_bounds_of_a_column_with_a_nan(tmp_path: Path) -> None:
    nan = [{"a": math.nan, "b": 1.0}]
    part = write_part(pa.table({"x": [math.nan], "y": [1.0], "s": nan, "xs": [[1.0]]}), LocalFolder(tmp_path))
    group = pq.read_metadata(tmp_path / part.path).row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    assert [c.path_in_schema for c in columns if c.is_stats_set and c.statistics.has_min_max] == ["y", "s.b"]


def test_long_strings_are_cut_outwards(tmp_path: Path) -> None:
    last = "\U0010ffff"
    stats = stats_of(tmp_path, s=["a" * 40, "z" * 40], top=["a" * 32 + last + "b"] * 2, huge=["x" * 10_000] * 2)
    assert stats["minValues"]["s"] == "a" * 32
    assert stats["maxValues"]["s"] == "z" * 32 + last
    assert stats["maxValues"]["top"] == "a" * 32 + last + last
    assert (stats["minValues"]["huge"], stats["maxValues"]["huge"]) == ("x" * 32, "x" * 32 + last)


def test_a_struct_has_the_bounds_of_its_fields_and_an_array_only_nulls(tmp_path: Path) -> None:
    prediction = pa.array([{"a": 1.0, "b": "x"}, None, {"a": 3.0, "b": None}])
    stats = stats_of(tmp_path, p=prediction, xs=[[1.0, 2.0], None, []])
    assert stats["minValues"] == {"p": {"a": 1.0, "b": "x"}}
    assert stats["maxValues"] == {"p": {"a": 3.0, "b": "x"}}
    assert stats["nullCount"] == {"p": {"a": 1, "b": 2}, "xs": 1}


def test_files_are_skipped_by_their_statistics_and_no_row_is_missed(tmp_path: Path) -> None:
    nothing = pa.table({"x": pa.array([None], pa.float64()), "s": ["q"], "b": [None], "t": [None]})
    time = datetime(2020, 1, 1, 12, 30, 0, 123456, UTC)
    low = pa.table({"x": [-2.0, None, -1.0], "s": ["a", "b", None], "b": [True, True, None], "t": [time, None, None]})
    high = pa.table(
        {"x": [math.nan, 5.0, math.inf], "s": ["y", "z" * 50, "ü"], "b": [False] * 3, "t": [time + timedelta(1)] * 3}
    )
    table = table_with(tmp_path / "t", low, high, nothing.cast(low.schema))
    dataset = table.to_pyarrow_dataset()
    field = pc.field

    def fragments(condition: Any) -> int:
        return sum(1 for _ in dataset.get_fragments(filter=condition))

    for condition, rows, files in [
        (field("x") < -1.5, 1, 2),  # the file with a NaN cannot be told
        (field("x") > 3, 2, 1),
        (pc.is_nan(field("x")), 1, None),
        (field("x").is_null(), 2, 2),
        (field("b") == pa.scalar(True), 2, 1),
        (field("s") < "c", 2, 1),
        (field("s") == "z" * 50, 1, 1),
        (field("s") >= "ä", 1, 1),
        (field("t") == pa.scalar(time), 1, 1),
        (field("t") > pa.scalar(time), 3, 2),  # the first was rounded up to the next millisecond
    ]:
        assert dataset.to_table(filter=condition).num_rows == rows, condition
        assert files is None or fragments(condition) == files, condition


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.none() | st.floats(),
            st.none() | st.text(alphabet=st.characters(codec="utf-8"), max_size=40),
            st.none() | st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)),  # noqa: DTZ001  of no zone
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.dates(),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_every_row_is_inside_the_statistics_of_its_part(tmp_path_factory: pytest.TempPathFactory, rows: Any) -> None:
    kinds = [pa.float64(), pa.string(), pa.timestamp("us", tz="UTC"), pa.int64(), pa.date32()]
    arrays = [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
    stats = stats_of(tmp_path_factory.mktemp("part"), **dict(zip("fstid", arrays, strict=True)))
    for name, array in zip("fstid", arrays, strict=True):
        low, high = stats["minValues"].get(name), stats["maxValues"].get(name)
        for found in array.to_pylist():
            value: Any = found.isoformat() if isinstance(found, date) and not isinstance(found, datetime) else found
            if value is not None and (name != "f" or math.isfinite(value)):
                assert as_bound(low, name) <= value <= as_bound(high, name)
        assert stats["nullCount"][name] == array.null_count


def as_bound(value: Any, name: str) -> Any:
    if name != "t":
        return value
    return datetime.fromisoformat(value.replace("Z", "+00:00")) + timedelta(0)
