"""A column is refused when the feed is loaded, never when the first row comes."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.columns import NUMBERS, Column, folded


def column(**keys: Any) -> Column:
    return Column.model_validate({"name": "a"} | keys)


@pytest.mark.parametrize(
    ("type_", "allowed", "found", "fix"),
    [
        ("string", [1, 2, 3], "has 1 in allowed", 'as in "1"'),
        (
            "string",
            ["x", True],
            "has true in allowed",
            'YAML reads as true or false; write text in quotes, as in "yes"',
        ),
        ("string", [False], "has false in allowed", 'as in "no"'),
        ("string", [1.5], "has 1.5 in allowed", 'as in "1.5"'),
        ("boolean", [1, 0], "has 1 in allowed", "wanted true or false"),
        ("boolean", ["yes"], "has 'yes' in allowed", "wanted true or false"),
        ("int", [True], "has true in allowed", "wanted whole numbers"),
        ("int", [1.0], "has 1.0 in allowed", "wanted whole numbers"),
        ("int", [2**31], "has 2147483648 in allowed", "of 32 bits"),
        ("int", ["0x1f"], "has '0x1f' in allowed", "wanted whole numbers"),
        ("long", [2**63], "in allowed", "of 64 bits"),
        ("double", [float("nan")], "has nan in allowed", "wanted finite numbers"),
        ("double", ["inf"], "has 'inf' in allowed", "wanted finite numbers"),
        ("double", [2**53 + 1], "in allowed", "wanted finite numbers"),
        ("date", [20241231], "has 20241231 in allowed", 'as ["2024-12-31"]'),
        ("date", ["2023-02-29"], "has '2023-02-29' in allowed", 'as ["2024-12-31"]'),
        ("timestamp", ["0001-01-01T00:00:00+01:00"], "in allowed", 'as ["2024-12-31T10:00:00Z"]'),
    ],
)
def test_an_allowed_value_of_another_type_is_refused_with_how_to_write_it(
    type_: str, allowed: list[Any], found: str, fix: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        column(type=type_, allowed=allowed)
    assert found in str(caught.value)
    assert fix in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"type": "string", "allowed": []}, "an empty list, which refuses every row"),
        ({"type": "string", "allowed": [None]}, 'YAML reads as null; write text in quotes, as in "null"'),
        ({"type": "double", "min": 0, "allowed": [-1]}, "has -1 in allowed, which is not in the range"),
        ({"type": "int", "max": 0, "allowed": ["1"]}, "has '1' in allowed, which is not in the range"),
        ({"type": "boolean", "min": 0}, "is boolean and has min 0; min and max are for numbers"),
        ({"type": "date", "max": 3}, "is date and has max 3; min and max are for numbers"),
        ({"type": "double", "min": float("nan")}, "found nan, wanted a finite number"),
        ({"type": "double", "max": float("inf")}, "found inf, wanted a finite number"),
        ({"type": "double", "min": True}, "found true, wanted a finite number"),
        ({"type": "long", "max": "nan"}, "found 'nan', wanted a finite number"),  # YAML reads nan as text
        ({"type": "double", "min": "-inf"}, "found '-inf', wanted a finite number"),
        ({"type": "double", "max": "1e400"}, "found '1e400', wanted a finite number"),
        ({"type": "double", "max": 10**400}, "wanted a finite number"),
        ({"type": "double", "min": "low"}, "min"),
        ({"type": "int", "min": 2**31}, "min 2147483648, which no int is"),
        ({"type": "long", "max": -(2**64)}, "which no long is"),
        ({"type": "float", "min": 1e39}, "which no float is"),
        ({"type": "int", "min": 0.5, "max": 0.7}, "between which there is no whole number"),
        ({"type": "timestamp", "zone": "Mars/Olympus"}, "zone 'Mars/Olympus', wanted a name of the time zone database"),
        ({"type": "timestamp", "zone": "+02:00"}, "zone '+02:00', wanted a name of the time zone database"),
        ({"type": "date", "zone": "UTC"}, "is date and has zone, which is for timestamp; take it out"),
        ({"type": "int", "format": "%d"}, "is int and has format, which is for date and timestamp"),
        ({"type": "date", "format": "%d.%m.%Y %H"}, "has %H, wanted some of %Y, %y, %m, %b, %B, %d"),
        ({"type": "date", "format": "%d.%m"}, "says no whole date"),
        ({"type": "date", "format": "%d.%m.%Y "}, "begins or ends with a space"),
        ({"type": "timestamp", "format": "%d %d %m %Y"}, "says one thing twice"),
        ({"type": "timestamp", "format": "%d %m %Y %"}, "has %, wanted some of"),
        ({"type": "timestamp", "format": "%d %m %Y %I"}, "has one of %I and %p"),
        ({"type": "timestamp", "format": "%d %m %Y %H %S"}, "leaves out a part between two others"),
        ({"type": "int", "source": "folder"}, "is of a folder and has the role feature, wanted key, time or carry"),
        ({"type": "int", "finite": False}, "finite: false, which is for float and double"),
    ],
)
def test_limits_that_no_value_can_keep_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        column(**keys)
    assert message in str(caught.value)


def test_a_limit_of_whole_numbers_is_exact() -> None:
    assert column(type="long", max=2**53 + 1).max == 2**53 + 1
    assert column(type="double", min="1e3").min == 1000  # YAML 1.1 reads 1e3 as text


def test_a_limit_is_in_a_feed_s_digest_as_it_always_was() -> None:
    limits = column(type="long", min=0, max=2**53 + 1).model_dump(mode="json", exclude_defaults=True)
    assert (repr(limits["min"]), repr(limits["max"])) == ("0.0", str(2**53 + 1))


@pytest.mark.parametrize(
    ("one", "other"), [("Stra\u00dfe", "STRASSE"), ("\u017fum", "SUM"), ("k\u0131\u015f", "KI\u015e"), (" a", "A ")]
)
def test_names_that_differ_in_case_alone_are_one(one: str, other: str) -> None:
    assert folded(one) == folded(other)


VALUES = st.one_of(
    st.booleans(),
    st.integers(),
    st.integers(-(2**32), 2**32),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from(
        ["1", "-1", "0x1f", "true", "1.5", "nan", "2024-12-31", "2023-02-29", "2024-01-01T10:00:00+23:59", ""]
    ),
    st.dates().map(str),
    st.datetimes().map(str),
)


@given(
    st.sampled_from(["string", "boolean", "int", "long", "float", "double", "date", "timestamp"]),
    st.lists(VALUES, max_size=3),
    st.one_of(st.none(), st.integers(-9, 9)),
)
def test_a_column_that_is_accepted_can_be_used(type_: Any, allowed: Any, low: Any) -> None:
    try:
        made = column(type=type_, allowed=allowed, min=low)
    except ValidationError:
        return
    values = made.allowed_values
    assert values is not None
    assert values.type == made.arrow_type
    assert len(values) == len(allowed) - values.null_count == len(allowed)
    assert low is None or (type_ in NUMBERS and pa.compute.min(values).as_py() >= low)
