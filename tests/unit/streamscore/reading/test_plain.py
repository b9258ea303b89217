"""Values as a dialect writes them, beside Python's own readers of decimals and times."""

import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from schemas.feed import Column, Dialect
from streamscore.reading.convert import convert
from streamscore.reading.split import physical_lines, split_records
from streamscore.reading.written import DialectWriter, written

BAD = "bad"


def read(texts: list[Any], type_: str, csv: dict[str, Any] | None = None, **keys: Any) -> list[Any]:
    """The values, BAD for text that is none."""
    column = Column.model_validate({"name": "v", "type": type_} | keys)
    found = convert(pa.array(texts, pa.string()), column, Dialect.model_validate(csv or {}))
    return [BAD if at in set(found.failed) else value for at, value in enumerate(found.values.to_pylist())]


@pytest.mark.parametrize(
    ("csv", "texts", "values"),
    [
        ({"decimal": ","}, ["1,5", "-,5", "1e3", "7", "1.5", "1,5,5"], [1.5, -0.5, 1000.0, 7.0, BAD, BAD]),
        ({"decimal": ",", "thousands": "."}, ["1.234,5", "1234,5", "1.5", "1.2345"], [1234.5, 1234.5, BAD, BAD]),
        ({"thousands": ","}, ["1,234,567.5", "-1,234", "12,34", "1,234,"], [1234567.5, -1234.0, BAD, BAD]),
        ({"thousands": " "}, ["1 234", " 1 234 ", "1  234"], [1234.0, 1234.0, BAD]),
        ({"thousands": "\u202f"}, ["1\u202f234"], [1234.0]),
        ({"decimal": ","}, ["nan", "inf", None], [BAD, BAD, None]),
    ],
)  # fmt: skip
def test_marks_of_numbers_are_the_feed_s(csv: dict[str, str], texts: list[Any], values: list[Any]) -> None:
    found = read(texts, "double", csv)
    assert found == [
        v if t not in ("nan", "inf") else found[at] for at, (t, v) in enumerate(zip(texts, values, strict=True))
    ]


NUMBERS = st.text(alphabet="0123456789.,-e+ ", min_size=1, max_size=9)


@settings(max_examples=300, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=5))
@example(["1.000,5", "1.00,5", "1.000", "1000,5", "1,5e3"])
def test_a_decimal_comma_is_what_python_makes_of_it(texts: Any) -> None:
    def wanted(text: str) -> Any:
        text = text.strip(" ")
        whole, comma, fraction = text.partition(",")
        first, *groups = whole.split(".")
        if "." in fraction or "," in fraction or any(len(group) != 3 or not group.isdigit() for group in groups):
            return BAD
        if groups and not (first.lstrip("+-").isdigit() and 1 <= len(first.lstrip("+-")) <= 3):
            return BAD
        try:
            value = Decimal(first + "".join(groups) + comma.replace(",", ".") + fraction)
        except InvalidOperation:
            return BAD
        return float(value)

    assert read(texts, "double", {"decimal": ",", "thousands": "."}) == [wanted(text) for text in texts]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(alphabet="0123456789.e-+", min_size=1, max_size=7), min_size=1, max_size=5))
@example(["3.0", "1e3", "3.5", "10e-1", "-2.", "9007199254740993.0"])
def test_whole_numbers_may_be_written_with_a_point_or_an_exponent_where_the_feed_says_so(texts: Any) -> None:
    def wanted(text: str) -> Any:
        try:
            value = Decimal(text)
        except InvalidOperation:
            return BAD
        assume(abs(value.adjusted()) < 15 or not value)
        is_whole = value == value.to_integral_value() and -(2**63) <= value < 2**63
        return int(value) if is_whole else BAD

    texts = [text for text in texts if re.match("-?[0-9]", text)]  # `.0` and `+3` are whole to Python alone
    assert read(texts, "long", {"integers": "whole"}) == [wanted(text) for text in texts]


def test_a_number_with_an_exponent_is_whole_to_its_last_digit() -> None:
    texts = ["9007199254740992e0", "9007199254740993e0", "19112909002202291e-1", "1.00000000000000000001e0", "0e-999"]
    assert read([*texts, None], "long", {"integers": "whole"}) == [2**53, BAD, BAD, BAD, 0, None]


def test_without_the_feed_s_word_whole_numbers_are_digits() -> None:
    assert read(["3.0", "1e3", "3"], "int") == [BAD, BAD, 3]


def test_words_are_true_and_false_in_any_case() -> None:
    csv = {"true_values": ["yes", "Ja"], "false_values": ["no"]}
    assert read(["YES", " ja", "No", "true", "1", None], "boolean", csv) == [True, True, False, BAD, BAD, None]


def test_fractions_beyond_microseconds_are_cut_where_the_feed_says_so() -> None:
    texts = [f"2024-01-01T10:00:00.{'123456789'[:digits]}Z" for digits in (6, 7, 8, 9)] + [
        "2024-01-01 10:00:00.1234567891"
    ]
    assert read(texts, "timestamp") == [datetime(2024, 1, 1, 10, 0, 0, 123456, UTC), *[BAD] * 4]
    cut = read(texts, "timestamp", {"fractions": "truncate"})
    assert cut == [datetime(2024, 1, 1, 10, 0, 0, 123456, UTC)] * 4 + [BAD]


TIMES = st.datetimes(*map(datetime.fromisoformat, ("1900-01-01", "2200-01-01")))
FORMATS = [
    "%d.%m.%Y %H:%M:%S",
    "%m/%d/%y %I:%M %p",
    "%d-%b-%Y %H.%M",
    "%B %d, %Y %H:%M:%S",
    "%d%b%Y %I%p",
    "%Y%m%d%H%M%S",
    "%Y/%m/%dT%H:%M:%S.%f%z",
]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(FORMATS), st.lists(TIMES, min_size=1), st.data())
def test_a_format_is_what_python_s_strptime_makes_of_it(form: Any, times: Any, data: Any) -> None:
    texts = [time.strftime(form.replace("%z", "+0200")) for time in times]
    at = data.draw(st.integers(0, len(texts[0]) - 1))
    texts.append(texts[0][:at] + data.draw(st.sampled_from("0123456789 .:x")) + texts[0][at + 1 :])

    def wanted(text: str) -> Any:
        try:
            time = datetime.strptime(text.strip(" "), form)  # noqa: DTZ007
        except ValueError:
            return BAD
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)

    for text, found in zip(texts, read(texts, "timestamp", format=form), strict=True):
        # Python takes 1 for a two-digit part beside another, and several spaces for one
        assert found == wanted(text) or (found == BAD and (" " in text or form == "%Y%m%d%H%M%S")), text


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu"]),
    TIMES,
)
@example("Europe/Berlin", datetime.fromisoformat("2024-03-31T02:30:00"))
@example("Europe/Berlin", datetime.fromisoformat("2024-10-27T02:30:00"))
@example("America/New_York", datetime.fromisoformat("2049-07-01"))
@example("America/New_York", datetime.fromisoformat("2049-03-14T02:30:00"))
def test_a_time_without_a_zone_is_of_the_column_s_zone_if_it_is_there_once(zone: Any, time: Any) -> None:
    there = [time.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for fold in (0, 1)]
    is_there = there[0].astimezone(ZoneInfo(zone)).replace(tzinfo=None) == time
    wanted = there[0] if is_there and there[0] == there[1] else BAD
    later = time + timedelta(days=1)
    assert read([str(time), f"{time}Z", str(later)], "timestamp", zone=zone)[:2] == [wanted, time.replace(tzinfo=UTC)]


def test_beyond_2037_the_clocks_change_as_before() -> None:
    texts = ["2049-07-01 12:00", "2049-12-01 12:00", "9999-12-31", "2049-03-28 02:30", "0000-01-01", None]
    wanted = [datetime(2049, 7, 1, 10, tzinfo=UTC), datetime(2049, 12, 1, 11, tzinfo=UTC)]
    wanted += [datetime(9999, 12, 30, 23, tzinfo=UTC)]
    assert read(texts, "timestamp", zone="Europe/Berlin") == [*wanted, BAD, BAD, None]
    assert [read([text], "timestamp", zone="Europe/Berlin")[0] for text in texts] == [*wanted, BAD, BAD, None]


def test_a_day_and_an_hour_of_one_digit_may_stand_beside_a_word() -> None:
    found = read(["1Jan2024 5PM", "11JAN2024 12am"], "timestamp", format="%d%b%Y %I%p")
    assert found == [datetime(2024, 1, 1, 17, tzinfo=UTC), datetime(2024, 1, 11, tzinfo=UTC)]


BERLIN = {"type": "timestamp", "zone": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("keys", "csv", "text", "made"),
    [
        ({"type": "double"}, {"decimal": ","}, "-1.5", "-1,5"),
        ({"type": "boolean"}, {"true_values": ["ja"], "false_values": ["nein"]}, "False", "nein"),
        ({"type": "date", "format": "%d.%m.%Y"}, {}, "2024-12-31", "31.12.2024"),
        (BERLIN | {"format": "%d.%m.%Y %H:%M"}, {}, "2024-12-31 23:30:00", "01.01.2025 00:30"),
        (BERLIN, {}, "2024-10-27T01:30:00Z", "2024-10-27T02:30:00+01:00"),
        ({"type": "timestamp"}, {}, "2024-10-27T01:30:00Z", "2024-10-27T01:30:00Z"),
    ],
)  # fmt: skip
def test_what_we_write_is_read_as_it_was(keys: dict[str, Any], csv: dict[str, Any], text: str, made: str) -> None:
    column = Column.model_validate({"name": "v"} | keys)
    assert written(text, column, Dialect.model_validate(csv)) == made
    more = {key: value for key, value in keys.items() if key != "type"}
    assert read([made], column.type, csv, **more) == read([text], column.type)


def test_records_are_written_so_that_they_are_read_as_they_were() -> None:
    records = [["#a", "b\\", 'c"\\"'], ["\\", "x,\\\\", "line\nend\\"], ["", "#", "\\n"]]
    for keys in ({}, {"escape": "\\"}, {"comment": "#"}, {"escape": "\\", "comment": "#", "skip_lines": 2}):
        dialect, text = Dialect.model_validate(keys), io.StringIO()
        writer = DialectWriter(text, dialect)
        for record in records:
            writer.write(record)
        lines = physical_lines([text.getvalue().encode()])
        found = [record.fields for record in split_records(lines, 1, 3, dialect)]
        assert found == records
