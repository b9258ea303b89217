from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv as pacsv
from pyarrow import parquet as pq

from schemas.errors import FeedError, SettingsError
from schemas.feed import Feed, load_feed
from streamscore.statistics.profiles import (
    QUANTILES,
    ColumnProfile,
    Profile,
    bars,
    profile,
    profiles_from_json,
    profiles_to_json,
)
from tests.support.present import present
from training.data.infer import propose_feed, propose_series
from training.data.profile_files import profile_files
from training.data.sample import sample
from training.data.training_data import read_data, training_data

TABLE = pa.table(
    {
        "number": pa.array([3.0, 1.0, None, float("nan"), 2.0, float("inf"), 4.0]),
        "word": ["b", "a", "b", None, "c", "a", "b"],
        "yes": [True, False, True, None, True, True, True],
        "day": pa.array([1, 2, 3, 4, 5, 6, None], pa.date32()),
        "same": [7] * 7,
        "none": pa.nulls(7, pa.float64()),
    }
)


def column(found: Profile, name: str) -> ColumnProfile:
    return present(found.column(name))


def of(values: Any, name: str = "x") -> ColumnProfile:
    return column(profile(pa.table({name: values})), name)


def test_statistics_of_a_number_are_of_its_finite_values() -> None:
    found = column(profile(TABLE), "number")
    assert (found.kind, found.rows, found.nulls, found.not_finite, found.distinct) == ("number", 7, 1, 2, 4)
    assert (found.min, found.max, found.mean) == (1.0, 4.0, 2.5)
    assert found.std == pytest.approx(np.std([1, 2, 3, 4], ddof=1))
    assert sum(found.counts) == 4
    assert (len(found.edges), len(found.counts)) == (21, 20)


def test_text_and_booleans_are_counted_by_value() -> None:
    word, yes = column(profile(TABLE), "word"), column(profile(TABLE), "yes")
    assert word.values == (("b", 3), ("a", 2), ("c", 1))
    assert (word.nulls, word.rest, word.distinct) == (1, 0, 3)
    assert (yes.kind, yes.values) == ("boolean", (("true", 5), ("false", 1)))
    many = of([str(i % 30) for i in range(90)] + ["7"])
    assert (many.distinct, len(many.values), many.values[0], many.rest) == (30, 20, ("7", 4), 30)


def test_times_of_csv_without_a_zone_are_utc(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("at\n1970-01-01 00:01:00\n1970-01-01 00:02:00\n")
    assert column(profile_files(tmp_path / "t.csv"), "at").min == 60.0


def test_times_count_as_seconds() -> None:
    found = column(profile(TABLE), "day")
    assert (found.kind, found.min, found.max, found.nulls) == ("time", 86_400.0, 6 * 86_400.0, 1)


@pytest.mark.parametrize(("name", "is_constant"), [("same", True), ("none", True), ("word", False), ("number", False)])
def test_a_constant_column_is_known(name: str, is_constant: bool) -> None:
    assert column(profile(TABLE), name).is_constant == is_constant


def test_a_value_that_is_null_in_some_rows_is_not_constant() -> None:
    assert not of(pa.array([1.0, 1.0, None])).is_constant
    assert not of(["a", "a", None]).is_constant


@settings(deadline=None)
@given(st.lists(st.floats(-1e9, 1e9, allow_subnormal=False) | st.integers(-5, 5).map(float), min_size=1, max_size=60))
def test_numbers_are_those_of_numpy(values: Any) -> None:
    found = of(values)
    assert found.quantiles == pytest.approx(np.quantile(values, QUANTILES), rel=1e-9, abs=1e-9)
    assert found.distinct == len(set(values))
    assert found.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-9)
    edges = np.array(found.edges)
    bins = [
        sum((edges[i] < v <= edges[i + 1]) or (i == 0 and v <= edges[1]) for v in values) for i in range(len(edges) - 1)
    ]
    if present(found.min) < present(found.max):  # of one value there is one bin, whose edges are both that value
        assert sum(found.counts) == len(values) == sum(bins)
        assert list(found.counts) == bins
    else:
        assert found.counts == (len(values),)


def test_files_give_what_a_table_gives(tmp_path: Path) -> None:
    rows = np.random.default_rng(0)
    table = pa.table({"a": rows.normal(size=500), "n": rows.integers(0, 9, 500), "w": rows.choice(["x", "y"], 500)})
    (tmp_path / "parts").mkdir()
    pq.write_table(table.slice(0, 200), tmp_path / "parts" / "1.parquet")
    pq.write_table(table.slice(200), tmp_path / "parts" / "2.parquet")
    pacsv.write_csv(table, tmp_path / "rows.csv")
    assert profile_files(tmp_path / "parts") == profile(table) == profile_files(tmp_path / "rows.csv")


def test_training_data_are_described_with_their_target(tmp_path: Path) -> None:
    feed = load_feed("wine_quality")
    data = read_data(feed, sample(feed, rows=300, files=1, out=tmp_path).paths[0])
    found = profile(data.columns())
    assert [column.name for column in found.columns] == [*data.features, "quality"]
    assert column(found, "pH").mean == pytest.approx(data.features["pH"].mean())
    broken = replace(data, features=data.features.assign(pH=np.where(data.features.index < 3, np.nan, 3.0)))
    assert column(profile(broken.columns()), "pH").nulls == 3


def test_statistics_survive_as_json() -> None:
    found = {"fitted": profile(TABLE), "held_out": profile(TABLE.slice(0, 2))}
    assert profiles_from_json(profiles_to_json(found)) == found
    assert Profile.from_json(found["fitted"].to_json()) == found["fitted"]


def test_no_rows_have_statistics_too() -> None:
    found = profile(TABLE.slice(0, 0))
    assert (found.rows, column(found, "number").mean, column(found, "word").values) == (0, None, ())


def test_a_column_of_lists_is_refused() -> None:
    with pytest.raises(FeedError, match=r"'x' is list<.*>, of which there are no statistics"):
        of([[1], [2]])


def test_a_file_that_cannot_be_described_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no file .*nope\.csv"):
        profile_files(tmp_path / "nope.csv")
    (tmp_path / "odd.csv").write_bytes(b"a,b\n1,2\n\xff\xfe,3\n")
    with pytest.raises(FeedError, match=r"odd\.csv cannot be read as CSV") as caught:
        profile_files(tmp_path / "odd.csv")
    assert "\n" not in str(caught.value)


# A feed proposed from a file

ROWS = ["id;when;day;weight;pieces;channel;returned;note"] + [
    f"{i};2026-01-01T{i % 24:02}:00:00Z;2026-01-{1 + i % 28:02};{i / 4};{'' if i == 3 else i % 5};"
    f"{'NO' if i % 2 else 'web'};{'true' if i % 3 else 'false'};n{i}"
    for i in range(40)
]


def proposed(path: Path, **more: Any) -> Feed:
    return Feed.model_validate(yaml.safe_load(propose_feed(path, "orders", **more)))


def test_a_feed_is_proposed_that_reads_its_file(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("\n".join(ROWS) + "\n")
    feed = proposed(path, target="pieces")
    found = {c.name: c for c in feed.columns}
    assert {name: c.type for name, c in found.items()} == {
        "id": "long",
        "when": "timestamp",
        "day": "date",
        "weight": "double",
        "pieces": "long",
        "channel": "string",
        "returned": "boolean",
        "note": "string",
    }
    assert feed.csv.delimiter == ";"
    assert [name for name, c in found.items() if c.nullable] == ["pieces"]
    assert {(c.min, c.max, c.allowed) for c in feed.columns} == {(None, None, None)}
    limited = {c.name: c for c in proposed(path, target="pieces", limits=True).columns}
    assert (limited["weight"].min, limited["weight"].max) == (0.0, 9.75)
    assert (limited["channel"].allowed, limited["note"].allowed) == (("NO", "web"), None)
    assert {name: c.role for name, c in found.items() if c.role != "feature"} == {
        "id": "key",
        "when": "time",
        "day": "carry",
        "pieces": "target",
    }
    assert read_data(feed, path).rows == 40


def test_numbers_that_tell_rows_apart_are_no_features(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    names = "number,gap,orderId,customer_id,store_id,paid,valid,wide,none"
    rows = [
        f"{40 - i},{1000 + i * 3 // 2},{i * 10**9},{i % 7},s{i % 3},{i % 9},{i * 5},{i * i},{'' if i == 3 else i}"
        for i in range(40)
    ]
    path.write_text("\n".join([names, *rows]) + "\n")
    text = propose_feed(path, "orders")
    roles = {c.name: c.role for c in Feed.model_validate(yaml.safe_load(text)).columns if c.role != "feature"}
    assert roles == {"number": "key", "gap": "key", "orderId": "key", "customer_id": "carry"}
    assert "tells rows apart: number (key), gap (key), orderId (key), customer_id (carry). Take the role away" in text
    assert [c.name for c in proposed(path, target="number").columns if c.role == "target"] == ["number"]
    path.write_text("\n".join(["x,y", *(f"{i},{40 - i}" for i in range(40))]) + "\n")
    assert len(proposed(path).features) == 2  # a feed wants some
    path.write_text("\n".join(["x,y", *(f"{i},{i / 2}" for i in range(19))]) + "\n")
    assert len(proposed(path).features) == 2  # too few to tell


@pytest.mark.parametrize(
    ("ids", "wanted"),
    [
        ([f"{i}.0" for i in range(9)], ("string", "key")),  # as pandas writes them beside nulls
        ([f"{10**20 + i}" for i in range(9)], ("string", "carry")),  # a double has fewer digits
        (["", *map(str, range(8))], ("long", "carry")),
    ],
)
def test_numbers_named_as_ids_keep_their_digits(tmp_path: Path, ids: list[str], wanted: tuple[str, str]) -> None:
    path = tmp_path / "in.csv"
    path.write_text("\n".join(["id,x", *(f"{one},{at / 2}" for at, one in enumerate(ids))]) + "\n")
    feed = proposed(path, limits=True)
    assert (feed.columns[0].type, feed.columns[0].role) == wanted


def test_a_column_without_a_name_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text(",a,b\n0,1.5,x\n1,2.5,y\n")  # as pandas writes its index
    feed = proposed(path, target="b")
    assert [column.name for column in feed.columns] == ["a", "b"]
    assert read_data(feed, path, is_classifier=True).rows == 2


def test_a_file_in_another_encoding_is_told(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes("Größe\n1\n".encode("cp1252"))
    with pytest.raises(FeedError, match=r"found the byte 0xf6 in in\.csv, wanted UTF-8; propose from a copy"):
        propose_feed(path, "orders")


def test_numbers_that_tell_series_apart_are_keys(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    lines = [f"{n},2026-01-{1 + n // 2:02},{n % 2},{n % 5}" for n in range(40)]
    path.write_text("\n".join(["n,day,sensor_id,value", *lines]) + "\n")
    feed = Feed.model_validate(yaml.safe_load(propose_series(path, "sensors")))
    assert {c.name: (c.type, c.role) for c in feed.columns} == {
        "n": ("long", "carry"),
        "day": ("date", "time"),
        "sensor_id": ("long", "key"),
        "value": ("double", "feature"),
    }


def test_days_that_the_stream_would_not_read_are_text(tmp_path: Path) -> None:
    path = tmp_path / "days.csv"
    path.write_text("day,at\n" + "".join(f"{i:02}/12/2026,{i:02}/12/2026 10:00:00\n" for i in range(13, 25)))
    assert [column.type for column in proposed(path).columns] == ["string", "string"]


def test_words_that_the_stream_does_not_take_for_booleans_are_text(tmp_path: Path) -> None:
    rows = [f"{'yes' if i % 3 else 'no'},{'TRUE' if i % 2 else 'false'},{'t' if i % 2 else 'f'}" for i in range(12)]
    (tmp_path / "in.csv").write_text("\n".join(["returned,paid,sent", *rows]) + "\n")
    feed = proposed(tmp_path / "in.csv", target="returned")
    assert [column.type for column in feed.columns] == ["string", "boolean", "string"]
    assert read_data(feed, tmp_path / "in.csv", is_classifier=True).rows == 12


def test_a_feed_is_proposed_from_parquet_with_its_types(tmp_path: Path) -> None:
    table = pa.table({"a": pa.array([1, 2], pa.int32()), "b": pa.array([1.5, None], pa.float32()), "c": ["x", "y"]})
    pq.write_table(table, tmp_path / "t.parquet")
    assert [(c.name, c.type, c.nullable) for c in proposed(tmp_path / "t.parquet").columns] == [
        ("a", "int", False),
        ("b", "float", True),
        ("c", "string", False),
    ]


def test_the_feed_of_the_samples_is_found_again(tmp_path: Path) -> None:
    feed = load_feed("wine_quality")
    path = sample(feed, rows=500, files=1, out=tmp_path).paths[0]
    again = proposed(path, target="quality")
    assert [c.name for c in again.features] == [c.name for c in feed.features]
    assert {c.type for c in again.features} <= {"double", "long"}  # the sulfur dioxides have no decimals here
    assert training_data(again, path).rows == 500


def test_a_feed_of_series_is_proposed(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    lines = [
        f"2026-01-{1 + day:02},{shop},{day * 3},{day / 4},{'' if day == 3 else day},7,{day % 2 == 0}"
        for day in range(20)
        for shop in ("north", "south")
    ]
    path.write_text("\n".join(["day,shop,sold,price,stock,const,open", *lines]) + "\n")
    text = propose_series(path, "sales")
    feed = Feed.model_validate(yaml.safe_load(text))
    assert feed.kind == "series"
    assert {c.name: (c.type, c.role) for c in feed.columns} == {
        "day": ("date", "time"),
        "shop": ("string", "key"),
        "sold": ("double", "feature"),
        "price": ("double", "feature"),
        "stock": ("long", "carry"),
        "const": ("long", "carry"),
        "open": ("boolean", "carry"),
    }
    assert [c.name for c in feed.columns if c.nullable] == ["stock"]
    settings = yaml.safe_load("\n".join(line[2:] for line in text.splitlines()[3:5]))
    assert settings == {"split": {"by": "time"}, "estimator": {"name": "var"}}
    one = [line for line in lines if "north" in line]
    path.write_text("\n".join(["day,shop,sold,price,stock,const,open", *one]) + "\n")
    alone = Feed.model_validate(yaml.safe_load(propose_series(path, "sales", limits=True)))
    assert not alone.keys and (alone.features[0].min, alone.features[0].max) == (0, 57)
    path.write_text("day,x\n13/12/2026,1\n14/12/2026,2\n")
    with pytest.raises(FeedError, match=r"no column of dates or times .*it has day \(text\), x \(number\)"):
        propose_series(path, "sales")
    path.write_text("day,x\n2026-12-13,1\n2026-12-14,1\n")
    with pytest.raises(FeedError, match="no column of numbers without nulls that differ"):
        propose_series(path, "sales")


def test_a_target_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SettingsError, match=r"--target c: .* has no such column; it has a, b"):
        propose_feed(tmp_path / "t.csv", "orders", "c")


def test_names_that_are_one_in_the_tables_get_names_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a b,a_b\n1,2\n")
    assert [c.table_name for c in proposed(tmp_path / "t.csv").columns] == ["a_b", "a_b_2"]


def test_a_histogram_in_a_line_shows_every_bin_that_has_a_row() -> None:
    assert bars(of([0.0] * 97 + [0.5, 1.0, 1.0])) == "█" + " " * 8 + "▁" + " " * 9 + "▁"
    assert bars(of(["a", "a", "b", None])) == "█▄"
