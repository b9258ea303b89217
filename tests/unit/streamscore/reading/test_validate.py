"""What a feed promises of its values: every row that breaks a promise is one reject that says which."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.feed import Feed
from schemas.tables import REJECTS_SCHEMA
from streamscore.landing.manifest import LandedFile
from streamscore.reading.read import ReadOptions, Rows, read_chunks
from streamscore.reading.validate import validate

Check = Callable[..., tuple[Rows, list[dict[str, Any]]]]


def feed_of(*columns: dict[str, Any]) -> Feed:
    return Feed.model_validate({"name": "test", "columns": columns})


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Good rows and rejects of a feed with these columns, for files with these texts."""

    def check(columns: list[dict[str, Any]], *texts: str) -> tuple[Rows, list[dict[str, Any]]]:
        files = []
        for number, text in enumerate(texts):
            path = tmp_path / f"{number}.csv"
            path.write_text(text)
            files.append(LandedFile(path.as_uri(), path.stat().st_size, path.stat().st_mtime_ns))
        feed = feed_of(*columns)
        [(rows, unread)] = read_chunks(files, feed, ReadOptions(tmp_path.as_uri()))
        assert unread.num_rows == 0
        good, refused = validate(rows, feed)
        assert refused.schema == REJECTS_SCHEMA
        assert good.table.num_rows + refused.num_rows == rows.table.num_rows
        return good, refused.to_pylist()

    return check


def test_good_rows_pass_as_they_are(check: Check) -> None:
    good, rejects = check([{"name": "a", "type": "double", "min": 0, "max": 1}], "a\n0\n1\n0.5\n")
    assert (good.table["a"].to_pylist(), rejects) == ([0.0, 1.0, 0.5], [])


def test_a_null_is_refused_where_the_feed_wants_a_value(check: Check) -> None:
    columns = [{"name": "a", "type": "double"}, {"name": "s", "type": "string", "nullable": True}]
    good, [reject] = check(columns, "a,s\n1,\n,x\n")
    assert good.table["source_line"].to_pylist() == [2]
    assert (reject["reason"], reject["column"], reject["source_line"]) == ("null_not_allowed", "a", 3)
    assert (reject["raw"], reject["header"], reject["rows"]) == (",x", "a,s", 1)
    assert reject["detail"] == "found no value, wanted double"


@pytest.mark.parametrize("type_", ["float", "double"])
def test_numbers_that_are_not_finite_are_refused_unless_the_feed_lets_them_pass(check: Check, type_: str) -> None:
    text = "a,b\n1,1\nNaN,1\ninf,1\n-Infinity,1\n"
    columns: list[dict[str, Any]] = [{"name": "a", "type": type_}, {"name": "b", "type": "int"}]
    good, rejects = check(columns, text)
    assert good.table["a"].to_pylist() == [1.0]
    assert [(r["reason"], r["detail"]) for r in rejects] == [
        ("not_finite", f"found {value}, wanted a finite {type_}") for value in ("nan", "inf", "-inf")
    ]
    columns[0]["finite"] = False
    assert check(columns, text)[1] == []


def test_values_out_of_range_are_refused_with_the_range(check: Check) -> None:
    columns = [{"name": "a", "type": "int", "min": 0, "max": 10}, {"name": "b", "type": "double", "min": 0.5}]
    _, rejects = check(columns, "a,b\n0,0.5\n11,1\n10,0.4\n-1,0\n")
    assert [(r["source_line"], r["column"], r["detail"]) for r in rejects] == [
        (3, "a", "found 11, wanted at least 0 and at most 10"),
        (5, "a", "found -1, wanted at least 0 and at most 10"),
        (4, "b", "found 0.4, wanted at least 0.5"),
    ]


def test_a_bound_holds_in_the_column_s_own_precision(check: Check) -> None:
    assert check([{"name": "a", "type": "float", "max": 0.1}], "a\n0.1\n")[1] == []


def test_a_bound_of_whole_numbers_is_exact(check: Check) -> None:
    top = 2**53 + 1
    for limit in ({"max": top}, {"max": 2.0**53}, {"max": 2.0**53 + 0.5}):
        good, rejects = check([{"name": "a", "type": "long", **limit}], f"a\n{int(limit['max'])}\n{top + 1}\n")
        assert (good.table.num_rows, [r["source_line"] for r in rejects]) == (1, [3])
    good, rejects = check([{"name": "a", "type": "long", "min": 0.5}], "a\n0\n1\n")
    assert (good.table["a"].to_pylist(), rejects[0]["detail"]) == ([1], "found 0, wanted at least 0.5")


def test_nulls_have_no_range_and_no_allowed_values(check: Check) -> None:
    columns = [
        {"name": "a", "type": "int", "min": 5, "nullable": True},
        {"name": "s", "type": "string", "allowed": ["x"], "nullable": True},
    ]
    good, rejects = check(columns, "a,s\n,x\n7,\n3,x\n")
    assert (good.table.num_rows, [r["reason"] for r in rejects]) == (2, ["out_of_range"])


@pytest.mark.parametrize(
    ("type_", "allowed", "good", "bad"),
    [
        ("string", ["red", "white"], "red", "rose"),
        ("int", [1, 2], "2", "3"),
        ("double", [0.5, 1], "1", "2"),
        ("boolean", [True], "true", "false"),
        ("date", ["2024-01-01"], "2024-01-01", "2024-01-02"),
    ],
)
def test_values_that_are_not_allowed_are_refused(check: Check, type_: str, allowed: Any, good: str, bad: str) -> None:
    columns = [{"name": "a", "type": type_, "allowed": allowed}]
    rows, [reject] = check(columns, f"a\n{good}\n{bad}\n")
    assert (rows.table.num_rows, reject["reason"], reject["column"]) == (1, "not_allowed", "a")
    assert "wanted one of " in reject["detail"]


def test_a_target_may_be_absent_and_must_be_there_where_its_column_is(check: Check) -> None:
    columns: list[dict[str, Any]] = [{"name": "a", "type": "double"}, {"name": "y", "type": "int", "role": "target"}]
    good, [reject] = check(columns, "a\n1\n2\n", "a,y\n3,\n4,5\n")
    assert good.table["a"].to_pylist() == [1.0, 2.0, 4.0]
    assert (reject["source_file"], reject["source_line"], reject["reason"]) == ("1.csv", 2, "null_not_allowed")
    columns[1]["nullable"] = True
    assert check(columns, "a\n1\n2\n", "a,y\n3,\n4,5\n")[1] == []


def test_a_row_with_many_faults_is_one_reject_of_its_first_column(check: Check) -> None:
    columns = [{"name": n, "type": "double", "min": 0, "allowed": [1]} for n in ("a", "b")]
    _, rejects = check(columns, "b,a\n,-1\n-inf,1\n")
    assert [(r["column"], r["reason"]) for r in rejects] == [("a", "out_of_range"), ("b", "not_finite")]


def test_no_rows_are_good_rows(check: Check) -> None:
    columns = [{"name": "a", "type": "double", "min": 0, "allowed": [1]}]
    feed = feed_of(*columns)
    good, _ = check(columns, "a\n1\n")
    empty, rejects = validate(good.with_table(good.table.slice(0, 0)), feed)
    assert (empty.table.num_rows, rejects.num_rows) == (0, 0)


def test_a_slice_of_a_chunk_is_checked_by_itself(check: Check) -> None:
    columns = [{"name": "a", "type": "double", "min": 0}]
    good, _ = check([{"name": "a", "type": "double"}], "a\n1\n-1\n2\n-2\n")
    rest, rejects = validate(good.with_table(good.table.slice(2)), feed_of(*columns))
    assert (rest.table["a"].to_pylist(), rejects["raw"].to_pylist()) == ([2.0], ["-2"])


VALUES = st.sampled_from(["", "nan", "inf", "-1", "0", "1", "2", "3"])


@given(st.lists(st.tuples(VALUES, VALUES), max_size=20))
def test_every_row_is_good_or_refused_for_its_first_fault(
    tmp_path_factory: pytest.TempPathFactory, values: Any
) -> None:
    a = {"name": "a", "type": "double", "min": 0, "max": 2, "allowed": [0, 1]}
    feed = feed_of(a, {"name": "b", "type": "double", "nullable": True, "finite": False, "max": 2})
    path = tmp_path_factory.mktemp("landing") / "in.csv"
    path.write_text("a,b\n" + "".join(f"{x},{y}\n" for x, y in values))
    file = LandedFile(path.as_uri(), path.stat().st_size, path.stat().st_mtime_ns)
    lines: dict[int, tuple[str, str] | None] = {}
    for rows, _ in read_chunks([file], feed, ReadOptions(path.parent.as_uri())):
        good, refused = validate(rows, feed)
        lines |= dict.fromkeys(good.table["source_line"].to_pylist())
        lines |= {r["source_line"]: (r["column"], r["reason"]) for r in refused.to_pylist()}
    # "a,b" with both empty is a record all the same: it has a delimiter
    assert lines == {number: first_fault(x, y) for number, (x, y) in enumerate(values, 2)}


def first_fault(a: str, b: str) -> tuple[str, str] | None:
    faults = {"": "null_not_allowed", "nan": "not_finite", "inf": "not_finite", "-1": "out_of_range"}
    faults |= {"3": "out_of_range", "2": "not_allowed"}
    if a in faults:
        return "a", faults[a]
    return ("b", "out_of_range") if b in ("inf", "3") else None
