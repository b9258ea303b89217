import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.columns import folded
from schemas.errors import FeedError
from schemas.feed import RESERVED, Column, Feed, feed_names, load_feed, read_feed, snake_case
from tests.support.present import present

TWO_TARGETS = {"b": "target", "c": "target"}


def feed_of(*columns: Any, **more: Any) -> Feed:
    return Feed.model_validate({"name": "f", "columns": list(columns), **more})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fixed acidity", "fixed_acidity"),
        ("pH", "ph"),
        ("bornAt", "born_at"),
        ("Größe (cm)", "größe_cm"),
        ("a.b;c", "a_b_c"),
        ("  x  ", "x"),
        ("already_snake", "already_snake"),
    ],
)
def test_table_names_are_snake_case(name: str, expected: str) -> None:
    assert snake_case(name) == expected


@given(st.text(max_size=30))
def test_a_table_name_is_one_that_delta_accepts_and_stays_as_it_is(name: Any) -> None:
    made = snake_case(name)
    assert not re.search(r"[ ,;{}()\n\t=]", made)
    assert snake_case(made) == made


NAMES = st.text(min_size=1, max_size=12).filter(lambda name: "\0" not in name and not name.startswith("\ufeff"))


@given(NAMES, NAMES)
def test_two_columns_that_would_be_one_in_the_tables_are_refused(first: Any, second: Any) -> None:
    names = {folded(snake_case(first)), folded(snake_case(second))}
    assume(snake_case(first) and snake_case(second) and not names & RESERVED)
    columns = {"name": first, "type": "double"}, {"name": second, "type": "double"}
    if len(names) == 1:
        with pytest.raises(ValidationError, match="are both"):
            feed_of(*columns)
    else:
        assert [c.name for c in feed_of(*columns).features] == [first, second]


def test_the_same_column_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="are both 'a' in the tables"):
        feed_of({"name": "a", "type": "double"}, {"name": "a", "type": "double"})


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_column_that_the_stream_adds_is_refused(name: Any) -> None:
    with pytest.raises(ValidationError, match="the stream adds a column of that name"):
        feed_of({"name": name.replace("_", " ").title(), "type": "double"})


def test_a_table_column_names_what_could_not_have_its_own_name() -> None:
    names = {"age_<30": "age_below_30", "age_>30": "age_above_30", "%": "percent", "prediction": "earlier"}
    feed = feed_of(*({"name": name, "type": "double", "table_column": to} for name, to in names.items()))
    assert feed.arrow_schema.names == list(names.values())
    assert [field.metadata[b"original_name"].decode() for field in feed.arrow_schema] == list(names)


@pytest.mark.parametrize("name", ["", "Age", "age-30", "_age", "age 30"])
def test_a_table_column_is_in_snake_case(name: str) -> None:
    with pytest.raises(ValidationError, match=f"found '{name}', wanted a name in snake_case, as 'age"):
        feed_of({"name": "a", "type": "double", "table_column": name})


@pytest.mark.parametrize("name", ["batch_id", "b"])
def test_a_table_column_is_one_of_its_own(name: str) -> None:
    with pytest.raises(ValidationError, match=r"give (it|one) a table_column"):
        feed_of({"name": "b", "type": "double"}, {"name": "a", "type": "double", "table_column": name})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([{"name": "k", "type": "string", "role": "key"}], "no column has the role 'feature'"),
        ([{"name": "***", "type": "double"}], "no letter or digit"),
        ([{"name": "a", "type": "string", "min": 1}], "min and max are for numbers"),
        ([{"name": "a", "type": "double", "min": 2, "max": 1}], "has min 2, which is more than max 1"),
        ([{"name": "a", "type": "int", "allowed": [1, 1.5]}], "has 1.5 in allowed; wanted whole"),
        ([{"name": "a", "type": "int", "allowed": ["x"]}], "has 'x' in allowed"),
        (
            [{"name": name, "type": "double", "role": role} for name, role in {"a": "feature", **TWO_TARGETS}.items()],
            "more than one column has the role 'target'",
        ),
    ],
)
def test_a_feed_that_makes_no_sense_is_refused(columns: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        feed_of(*columns)


@pytest.mark.parametrize(
    ("csv", "columns", "message"),
    [
        ({"header": "ignore_case"}, [{"name": "Straße"}, {"name": "STRASSE"}], "are one name|are both"),
        ({}, [{"name": "kış"}, {"name": "KIŞ"}], "are both"),
        ({}, [{"name": "ſource file"}], "the stream adds a column of that name"),
        ({"encoding": "ascii"}, [{"name": "Größe"}], "'Größe' cannot be written in csv.encoding ascii"),
        ({}, [{"name": "\ufeffid"}], "begins with a byte order mark"),
        ({}, [{"name": "i\0d"}], "has a NUL"),
        ({"null_values": ["NA"]}, [{"name": "a", "allowed": ["NA", "x"]}], "'NA' in allowed, which csv.null_values"),
        ({}, [{"name": "a", "allowed": ["", "x"]}], "set nullable: true"),
    ],
)
def test_a_feed_that_no_file_can_keep_is_refused(csv: Any, columns: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        feed_of(*({"type": "string"} | column for column in columns), csv=csv)


def test_a_null_value_may_be_allowed_where_null_is() -> None:
    assert feed_of({"name": "a", "type": "string", "nullable": True, "allowed": ["", "x"]}).columns[0].allowed


def test_a_feed_is_called_as_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "foo.yaml").write_text("{name: bar, columns: [{name: a, type: double}]}")
    with pytest.raises(FeedError, match="'name' is 'bar', wanted 'foo'"):
        load_feed("foo")


def test_a_misspelt_key_is_named_before_the_one_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("{name: f, columns: [{name: a, typ: double}]}")
    with pytest.raises(FeedError, match="did you mean 'type'"):
        read_feed(path)


def test_the_arrow_schema_keeps_the_original_names() -> None:
    schema = load_feed("wine_quality").arrow_schema
    assert schema.field("fixed_acidity").metadata == {b"original_name": b"fixed acidity"}
    assert schema.names[-1] == "quality"


def test_every_packaged_feed_loads_and_has_a_model() -> None:
    assert {"wine_quality", "wine_quality_text"} <= set(feed_names())
    for name in ("wine_quality", "wine_quality_text"):
        feed = load_feed(name)
        assert feed.name == name
        assert feed.model_uri == f"models:/{name}@production"
        assert len(feed.features) == 11
        assert present(feed.target).name == "quality"


def test_the_model_is_the_production_version_of_the_feeds_name_unless_it_says_otherwise() -> None:
    assert feed_of({"name": "a", "type": "double"}).model_uri == "models:/f@production"
    assert feed_of({"name": "a", "type": "double"}, model="models:/x/3").model_uri == "models:/x/3"


def test_feeds_of_the_working_folder_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "schemas").mkdir()
    text = yaml.safe_dump({"name": "wine_quality", "columns": [{"name": "a", "type": "long"}]})
    (tmp_path / "schemas" / "wine_quality.yaml").write_text(text)
    assert load_feed("wine_quality").columns == (Column(name="a", type="long"),)
    assert load_feed("wine_quality_text").name == "wine_quality_text"


def test_an_unknown_feed_is_told_with_the_nearest() -> None:
    with pytest.raises(FeedError, match=r"no feed 'wine_qualty': did you mean 'wine_quality'\?") as caught:
        load_feed("wine_qualty")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "name: f\ncolumns: [{name: a, typ: double, type: long}]\n",
            r"unknown key 'columns.0.typ'; did you mean 'type'\?",
        ),
        ("name: f\ncolums: []\n", "'columns'"),
        ("name: f\ncsv: {delimeter: ';'}\ncolumns: [{name: a, type: long}]\n", r"did you mean 'delimiter'\?"),
        ("name: f\ncolumns: [{name: a, type: decimal}]\n", "'columns.0.type'.*found 'decimal'"),
        ("name: F!\ncolumns: [{name: a, type: long}]\n", "'name'.*found 'F!'"),
        ("name: [\n", "is not YAML"),
        ("", "feed"),
        ("name: f\nname: f\ncolumns: [{name: a, type: long}]\n", "key 'name' is there twice"),
        ("name: f\ncolumns: [{name: yes, type: long}]\n", 'found True, which YAML reads as true or false.*"yes"'),
        ("name: f\ncolumns: [{name: 2024-01-01, type: long}]\n", 'which YAML reads as a date.*"2024-01-01"'),
        ("name: f\ncolumns: [{name: 1, type: long}]\n", "which YAML reads as a number"),
        ("name: f\ncolumns: [{name: a, type: date, allowed: [2024-01-01]}]\n", 'reads as a date.*"2024-01-01"'),
        ("name: f\ncsv: {null_values: [NO]}\ncolumns: [{name: a, type: long}]\n", 'null_values.*"no"'),
        ("name: f\nkind: series\nseries: {steps: true}\ncolumns: []\n", "series.steps"),
        ("name: f\nkind: series\nseries: {ahead_seconds: .inf}\ncolumns: []\n", "series.ahead_seconds"),
    ],
)
def test_a_wrong_file_is_told_by_file_key_found_and_wanted_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(text)
    with pytest.raises(FeedError, match=message) as caught:
        read_feed(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("column", "more", "says"),
    [
        (
            {"name": "customer", "type": "double"},
            {},
            "'customer', which is double, wanted a column of string, int, long",
        ),
        ({"name": "customer", "type": "int", "role": "target"}, {}, "'customer', which is the target"),
        ({"name": "customers", "type": "string"}, {}, "no column; did you mean 'customers'?"),
        ({"name": "customer", "type": "string", "role": "key"}, {"kind": "series"}, "'routing' is for kind: rows"),
    ],
)
def test_a_feed_is_routed_by_a_column_of_text_or_whole_numbers(column: Any, more: Any, says: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(says)):
        feed_of({"name": "a", "type": "double"}, column, routing={"column": "customer"}, **more)


def test_a_routed_feed_knows_its_column() -> None:
    key = {"name": "customer id", "type": "long", "role": "carry"}
    routed = feed_of({"name": "a", "type": "double"}, key, routing={"column": "customer id"})
    assert routed.routed_by and routed.routed_by.table_name == "customer_id"
    assert feed_of({"name": "a", "type": "double"}, key).routed_by is None
