import gzip
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet as pq

from schemas.errors import FeedError, SettingsError
from schemas.feed import Feed
from training.data.labels import read_labelled
from training.data.split import held_out_rows, split
from training.data.training_data import Data, read_data, training_data
from training.settings import Splitting

COLUMNS = [
    {"name": "Size m2", "type": "double", "min": 0},
    {"name": "rooms", "type": "int", "nullable": True},
    {"name": "kind", "type": "string"},
    {"name": "id", "type": "long", "role": "key", "nullable": True},
    {"name": "sold at", "type": "timestamp", "role": "time"},
    {"name": "price", "type": "double", "role": "target"},
]
START = datetime(2026, 1, 1, tzinfo=UTC)


def feed_of(columns: Any) -> Feed:
    return Feed.model_validate({"name": "homes", "csv": {"header": "ignore_case"}, "columns": columns})


FEED = feed_of(COLUMNS)


def homes(rows: int, first: int = 0) -> pa.Table:
    count = range(first, first + rows)
    return pa.table(
        {
            "Size m2": [float(i) for i in count],
            "rooms": pa.array([i % 5 or None for i in count], pa.int32()),
            "kind": ["flat" if i % 2 else "house" for i in count],
            "id": pa.array([i // 3 for i in count], pa.int64()),
            "sold at": pa.array([START + timedelta(hours=i // 2) for i in count], pa.timestamp("us", tz="UTC")),
            "price": [float(i * 10) for i in count],
        }
    )


def as_csv(table: pa.Table) -> bytes:
    return table.to_pandas(types_mapper={pa.int32(): pd.Int32Dtype()}.get).to_csv(index=False).encode()


def data_of_rows(keys: Any = None, times: Any = None, rows: int = 0) -> Data:
    """Rows that tell themselves apart by their only feature."""
    count = rows or len(keys if keys is not None else times)
    others = {"id": pd.array(keys, "Int64")} if keys is not None else {"sold at": times} if times is not None else {}
    numbers = np.arange(count, dtype="float64")
    others = pd.DataFrame(others, index=range(count))
    return Data(pd.DataFrame({"Size m2": numbers}), pd.Series(numbers, name="price"), others, "00", "rows")


def test_parquet_gives_what_csv_gives(tmp_path: Path) -> None:
    table = homes(30)
    (tmp_path / "homes.csv").write_bytes(as_csv(table))
    pq.write_table(table.rename_columns([FEED.columns[i].table_name for i in range(6)]), tmp_path / "homes.parquet")
    from_csv, from_parquet = (read_data(FEED, tmp_path / f"homes.{kind}") for kind in ("csv", "parquet"))
    pd.testing.assert_frame_equal(from_csv.features, from_parquet.features)
    pd.testing.assert_frame_equal(from_csv.others, from_parquet.others)
    pd.testing.assert_series_equal(from_csv.target, from_parquet.target)
    assert list(from_csv.others) == ["id", "sold at"]
    assert from_csv.others["id"].dtype == "Int64"
    assert from_csv.features["rooms"].dtype == "float64"


def test_the_files_of_a_folder_follow_each_other_by_name(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_bytes(as_csv(homes(10, first=10)))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(as_csv(homes(10))))
    (tmp_path / "_notes.csv").write_text("not looked at\n")
    data = read_data(FEED, tmp_path)
    assert data.features["Size m2"].tolist() == [float(i) for i in range(20)]
    digests = [hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("a.csv.gz", "b.csv")]
    lines = f"{digests[0]}  a.csv.gz\n{digests[1]}  b.csv\n"
    assert data.digest == hashlib.sha256(lines.encode()).hexdigest()


def test_a_column_that_no_model_sees_may_be_missing(tmp_path: Path) -> None:
    pq.write_table(homes(12).drop_columns(["id"]), tmp_path / "homes.parquet")
    assert list(training_data(FEED, tmp_path / "homes.parquet").others) == ["sold at"]


def folder_of_both_kinds(folder: Path) -> None:
    (folder / "a.csv").write_bytes(as_csv(homes(10)))
    pq.write_table(homes(10), folder / "b.parquet")


def delta_table(folder: Path) -> None:
    write_deltalake(folder, homes(10).select(["kind"]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (folder_of_both_kinds, "CSV and Parquet files side by side"),
        (delta_table, "is a Delta table, wanted files: train on it with --predictions"),
        (lambda folder: None, "no file in .* ends with .csv"),
    ],
)
def test_a_folder_that_is_not_of_one_kind_is_refused(tmp_path: Path, make: Any, message: str) -> None:
    make(tmp_path)
    with pytest.raises(SettingsError, match=message):
        read_data(FEED, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": pa.array([1.5] * 10)}, "'kind' is double, wanted string: how these values were written is not known"),
        ({"rooms": pa.array([1.5] * 10)}, "'rooms' is double, wanted int32"),
        ({"Size m2": pa.array(["much"] * 10)}, "'Size m2' is string, wanted double"),
    ],
)
def test_parquet_of_another_type_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    table = homes(10)
    for name, values in change.items():
        table = table.set_column(table.column_names.index(name), name, values)
    pq.write_table(table, tmp_path / "homes.parquet")
    with pytest.raises(FeedError, match=message):
        read_data(FEED, tmp_path / "homes.parquet")


@pytest.mark.parametrize("content", [b"no Parquet", b""])
def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "homes.parquet").write_bytes(content)
    with pytest.raises(FeedError, match="is no Parquet file"):
        read_data(FEED, tmp_path / "homes.parquet")


def test_text_that_is_only_named_as_compressed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "homes.csv.gz").write_bytes(as_csv(homes(10)))
    with pytest.raises(FeedError, match=r"cannot be read as CSV: found damaged gzip \(Not a gzipped file"):
        read_data(FEED, tmp_path / "homes.csv.gz")


@pytest.mark.parametrize(
    ("kind", "texts", "labels"),
    [
        ("string", ["red", "white"], ["red", "white"]),
        ("boolean", ["true", "false"], [True, False]),
        ("int", ["3", "5"], [3, 5]),
    ],
)
def test_a_classifier_gets_its_labels_as_they_are(
    tmp_path: Path, kind: str, texts: list[str], labels: list[bool] | list[int] | list[str]
) -> None:
    feed = feed_of([{"name": "a", "type": "double"}, {"name": "label", "type": kind, "role": "target"}])
    (tmp_path / "data.csv").write_text("a,label\n" + "".join(f"{i},{texts[i % 2]}\n" for i in range(10)))
    assert training_data(feed, tmp_path / "data.csv", is_classifier=True).target.tolist() == labels * 5


@pytest.mark.parametrize(
    ("kind", "is_classifier", "values", "message"),
    [
        ("double", True, ["1.5"], "is double, wanted a label"),
        ("boolean", False, ["true"], "is boolean, wanted a number"),
        ("string", True, ["red"], "'label' is red in every row, wanted two classes at least"),
        ("int", True, ["3"], "'label' is 3 in every row, wanted two classes at least"),
        ("double", False, ["3"], "'label' is 3.0 in every row, wanted numbers that vary"),
        ("double", False, [""], "'label' is null in every row"),
        ("double", False, ["much", "1"], "line 2: 'label': found 'much', wanted double"),
    ],
)
def test_a_target_from_which_nothing_can_be_learned_is_refused(
    tmp_path: Path, kind: str, is_classifier: bool, values: list[str], message: str
) -> None:
    feed = feed_of([{"name": "a", "type": "double"}, {"name": "label", "type": kind, "role": "target"}])
    (tmp_path / "data.csv").write_text("a,label\n" + "".join(f"{i},{values[i % len(values)]}\n" for i in range(10)))
    with pytest.raises(FeedError, match=message):
        training_data(feed, tmp_path / "data.csv", is_classifier=is_classifier)


# Labels that came late


@pytest.fixture(scope="module")
def predictions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table as the stream writes it: 40 rows in two files, no price; the same home three times."""
    rows = homes(40).drop_columns(["price"])
    arrays = {field.name: rows[column.name] for field, column in zip(FEED.arrow_schema, FEED.columns[:5], strict=False)}
    arrays |= {
        "price": pa.nulls(40, pa.float64()),
        "prediction": pa.array([1.0] * 40),
        "source_file": pa.array([f"{i // 20}.csv" for i in range(40)]),
        "source_line": pa.array([2 + i % 20 for i in range(40)], pa.int64()),
    }
    path = tmp_path_factory.mktemp("tables") / "predictions"
    write_deltalake(path, pa.table(arrays).take(list(range(39, -1, -1))))
    return path


def labels_by_line(rows: int) -> str:
    return "source_file,source_line,price\n" + "".join(f"{i // 20}.csv,{2 + i % 20},{i * 10}\n" for i in range(rows))


def labelled(predictions: Path, folder: Path, text: str) -> Data:
    (folder / "labels.csv").write_text(text)
    return read_labelled(FEED, str(predictions), folder / "labels.csv")


def test_labels_find_their_rows_by_file_and_line(predictions: Path, tmp_path: Path) -> None:
    data = labelled(predictions, tmp_path, labels_by_line(25) + "1.csv,20,\nnever.csv,2,5\n")
    assert data.features["Size m2"].tolist() == [float(i) for i in range(25)]
    assert data.target.tolist() == [i * 10.0 for i in range(25)]
    assert (data.rows, data.left_out) == (25, 15)
    assert list(data.others) == ["id", "sold at"]
    whole = homes(40)
    (tmp_path / "whole.csv").write_bytes(as_csv(whole.slice(0, 25)))
    pd.testing.assert_frame_equal(data.features, read_data(FEED, tmp_path / "whole.csv").features)


def test_the_label_of_a_key_is_that_of_all_its_rows(predictions: Path, tmp_path: Path) -> None:
    data = labelled(predictions, tmp_path, "ID,Price\n2,20\n0,5\n11,7\n12,8\n")
    assert data.features["Size m2"].tolist() == [0, 1, 2, 6, 7, 8, 33, 34, 35, 36, 37, 38]
    assert data.target.tolist() == [5.0] * 3 + [20.0] * 3 + [7.0] * 3 + [8.0] * 3


def test_the_digest_is_of_the_joined_rows_alone(predictions: Path, tmp_path: Path) -> None:
    first = labelled(predictions, tmp_path, labels_by_line(20))
    grown = tmp_path / "predictions"
    write_deltalake(grown, DeltaTable(predictions).to_pyarrow_table())
    new = DeltaTable(predictions).to_pyarrow_table().slice(0, 1)
    write_deltalake(
        grown, new.set_column(new.column_names.index("source_file"), "source_file", [["2.csv"]]), mode="append"
    )
    again = labelled(grown, tmp_path, labels_by_line(20) + "\n")
    other = labelled(predictions, tmp_path, labels_by_line(19) + "0.csv,21,191\n")
    assert first.source.split(" with ")[0] != again.source.split(" with ")[0]
    assert (again.digest, again.left_out) == (first.digest, first.left_out + 1)
    assert other.digest != first.digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source_file,source_line\n0.csv,2\n", "lacks the target 'price'"),
        (
            "home,price\n0,2\n",
            "says of no row which one it is, wanted the columns source_file, source_line or the key id",
        ),
        ("id,price\n0,2\n0,3\n", "more than one label for 1 rows, as {'id': 0}"),
        ("id,price\n99,2\n", "none of the .* rows of .* has a label"),
        ("id,price\n0,2\n", "has 3 rows; training wants at least 10"),
    ],
)
def test_labels_that_will_not_do_are_refused(predictions: Path, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FeedError, match=message) as caught:
        labelled(predictions, tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_table_of_another_feed_is_refused(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "t", homes(10).select(["kind"]))
    with pytest.raises(FeedError, match="lacks 'source_file', wanted a predictions table of feed homes"):
        labelled(tmp_path / "t", tmp_path, labels_by_line(10))
    with pytest.raises(SettingsError, match=r"no Delta table at .*nope"):
        labelled(tmp_path / "nope", tmp_path, labels_by_line(10))


# Splits


def numbers(data: Data) -> list[float]:
    return data.features["Size m2"].tolist()


RATIOS = st.builds(Splitting, by=st.just("ratio"), held_out=st.floats(0.05, 0.9), seed=st.integers(0, 9))


def parts_or_refusal(data: Data, how: Splitting) -> Any:
    try:
        return split(data, how, FEED)
    except FeedError as error:
        return None if "leaves no" in str(error) else pytest.fail(f"refused for {error}")


def assert_every_row_once(parts: Any, rows: int) -> None:
    assert sorted(numbers(parts.fitted) + numbers(parts.held_out)) == list(range(rows))
    for part in (parts.fitted, parts.held_out):
        assert part.positions.tolist() == numbers(part) == part.target.tolist() == sorted(numbers(part))
        assert list(part.features.index) == list(part.others.index) == list(part.target.index) == list(range(part.rows))


@settings(deadline=None)
@given(st.integers(10, 200), RATIOS)
def test_a_split_by_ratio_has_every_row_once(rows: Any, how: Any) -> None:
    if parts := parts_or_refusal(data_of_rows(rows=rows), how):
        assert_every_row_once(parts, rows)
        assert numbers(parts.held_out) == held_out_rows(rows, how.held_out, how.seed).tolist()


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), min_size=10, max_size=100), RATIOS)
def test_rows_held_out_by_time_are_later_than_all_fitted_ones(hours: Any, how: Any) -> None:
    times = pd.Series([START + timedelta(hours=hour) for hour in hours])
    if parts := parts_or_refusal(data_of_rows(times=times), how.model_copy(update={"by": "time"})):
        assert_every_row_once(parts, len(hours))
        assert parts.fitted.others["sold at"].max() < parts.held_out.others["sold at"].min()
        assert parts.held_out.rows <= max(1, round(len(hours) * how.held_out))


@settings(deadline=None)
@given(st.lists(st.none() | st.integers(-5, 40), min_size=10, max_size=100), RATIOS)
def test_a_key_is_never_on_both_sides(keys: Any, how: Any) -> None:
    if parts := parts_or_refusal(data_of_rows(keys=keys), how.model_copy(update={"by": "key"})):
        assert_every_row_once(parts, len(keys))
        fitted, held_out = (set(part.others["id"].astype(str)) for part in (parts.fitted, parts.held_out))
        assert not fitted & held_out


def test_a_key_stays_on_its_side_when_rows_are_added() -> None:
    how = Splitting(by="key", held_out=0.3, seed=1)
    before = split(data_of_rows(keys=list(range(500))), how, FEED)
    after = split(data_of_rows(keys=[None, *reversed(range(900))]), how, FEED)
    assert set(before.held_out.others["id"]) == {key for key in after.held_out.others["id"].dropna() if key < 500}
    assert 0.25 < before.held_out.rows / 500 < 0.35
    # Pinned: another way of hashing would put rows that a model was fitted on among those that judge the next.
    assert before.held_out.others["id"].tolist()[:6] == [2, 8, 9, 10, 11, 13]


def test_a_part_has_a_digest_of_its_own() -> None:
    data = data_of_rows(rows=50)
    parts, again, other = (split(data, Splitting(seed=seed), FEED) for seed in (0, 0, 1))
    assert len({parts.fitted.digest, parts.held_out.digest, other.fitted.digest, data.digest}) == 4
    assert again.fitted.digest == parts.fitted.digest


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"by": "time"}, "rows lacks 'sold at', by which it is to be split"),
        ({"by": "time", "column": "kind"}, "rows lacks 'kind'"),
        ({"by": "key", "column": "nope"}, "wants the column 'nope', feed homes has Size m2"),
        ({"by": "ratio", "held_out": 0.999}, "leaves no fitted row"),
    ],
)
def test_a_split_that_cannot_be_is_refused(how: dict[str, Any] | dict[str, str], message: str) -> None:
    with pytest.raises(FeedError, match=message):
        split(data_of_rows(rows=10), Splitting(**how), FEED)


def test_a_split_by_a_role_that_the_feed_has_not_is_refused() -> None:
    bare = feed_of([COLUMNS[0], COLUMNS[-1]])
    with pytest.raises(FeedError, match="wants a column with 'role: key'"):
        split(data_of_rows(rows=10), Splitting(by="key"), bare)


@pytest.mark.parametrize(
    ("times", "message"),
    [([START] * 10, "leaves no held-out row"), ([None] + [START] * 9, "'sold at' is null in 1 of 10 rows")],
)
def test_times_by_which_nothing_can_be_split_are_refused(times: Any, message: str) -> None:
    with pytest.raises(FeedError, match=message):
        split(data_of_rows(times=pd.Series(times)), Splitting(by="time"), FEED)
