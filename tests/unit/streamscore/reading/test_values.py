"""Every type beside an independent reader: Python's csv module, and a parser written from docs/feeds.md alone."""

import csv
import io
import math
import re
import tempfile
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.feed import Feed
from streamscore.landing.manifest import LandedFile
from streamscore.reading.read import ReadOptions, read_chunks
from streamscore.reading.validate import validate

REFUSED = "refused"
TYPES = ["string", "boolean", "int", "long", "float", "double", "date", "timestamp"]


# --- what docs/feeds.md says ---


def documented(text: str, type_: str, finite: bool) -> Any:
    """The value, or REFUSED."""
    if type_ == "string":
        return text
    text = text.strip(" \t")
    if type_ == "boolean":
        return {"true": True, "1": True, "false": False, "0": False}.get(
            text.lower() if text.isascii() else "", REFUSED
        )
    if type_ in ("int", "long"):
        bits = {"int": 31, "long": 63}[type_]
        is_one = re.fullmatch("-?[0-9]+", text) and -(2**bits) <= int(text) < 2**bits
        return int(text) if is_one else REFUSED
    if type_ in ("float", "double"):
        return number(text, type_, finite)
    if type_ == "date":
        return day(text)
    return moment(text)


def number(text: str, type_: str, finite: bool) -> Any:
    if re.fullmatch("[+-]?(nan|inf|infinity)", text, re.IGNORECASE | re.ASCII):
        return REFUSED if finite else float(text)
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        return REFUSED
    value = float(text) if type_ == "double" else nearest_float32(text)
    return value if math.isfinite(value) else REFUSED


def nearest_float32(text: str) -> float:
    """Without rounding twice."""
    with np.errstate(all="ignore"):
        near = np.float32(float(text))
    if not np.isfinite(near) or near == 0:
        return float(near)
    exact = Fraction(text) if abs(float(text)) < 1e30 else Fraction(float(text))
    below, above = np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))
    return float(
        min((c for c in (near, below, above) if np.isfinite(c)), key=lambda c: abs(Fraction(float(c)) - exact))
    )


def day(text: str) -> Any:
    if not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return REFUSED
    try:
        return date(*map(int, text.split("-")))
    except ValueError:
        return REFUSED


def moment(text: str) -> Any:
    clock = r"([0-9]{2})(?::([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?)?"
    found = re.fullmatch(rf"([0-9-]{{10}})(?:[T ]{clock}(Z|([+-])([0-9]{{2}})(?::?([0-9]{{2}}))?)?)?", text)
    of_day: Any = day(found[1]) if found else REFUSED
    if found is None or of_day is REFUSED:
        return REFUSED
    hour, minute, second = (int(found[i] or 0) for i in (2, 3, 4))
    zone_hour, zone_minute = int(found[8] or 0), int(found[9] or 0)
    if hour > 23 or minute > 59 or second > 59 or zone_hour > 23 or zone_minute > 59:
        return REFUSED
    offset = timedelta(hours=zone_hour, minutes=zone_minute) * (-1 if found[7] == "-" else 1)
    micros = int((found[5] or "").ljust(6, "0") or 0)
    local = datetime(of_day.year, of_day.month, of_day.day, hour, minute, second, micros, timezone(offset))
    try:
        return local.astimezone(UTC)
    except OverflowError:
        return REFUSED


# --- text that is nearly a value ---

DIGITS = "0123456789"
ODD = [
    *(
        "0x1f 0X1F -0x1 +1 --1 1_000 1e400 -1e400 1e-400 1e39 3.5e38 -0 -0.0 007 1. . .5 1e 1e+5 1E5 0x1p3 1d 1f 0b1 "
        "nan NaN -nan +nan nan(abc) nan() inf -INF +inf Infinity infinit 9007199254740993 2147483648 -2147483649 "
        "9223372036854775808 -9223372036854775808 1e99999999999 true TRUE tRuE T t yes 01 NA null None 2024-02-29 "
        "2023-02-29 0000-01-01 0001-01-01 9999-12-31 10000-01-01 +2024-01-01 2024-1-1 20240101 2024-00-10 2024-01-01Z "
        "2024-01-01+02:00 2024-01-01T 2024-01-01T10 2024-01-01T10Z 2024-01-01T10-05 2024-01-01T1000 "
        "2024-01-01t10:00:00 2024-01-01T10:00:00z 2024-01-01T24:00:00 2024-01-01T23:59:60 2024-01-01T10:00:00. "
        "2024-01-01T10:00:00,5 2024-01-01T10:00:00.1234567 2024-01-01T10:00:00+18:01 2024-01-01T10:00:00+24:00 "
        "2024-01-01T10:00:00+02:60 2024-01-01T10:00:00+2 2024-01-01T10:00:00-00:00 2024-01-01T10:00:00+020 "
        "0001-01-01T00:00:00+01:00 9999-12-31T23:59:59-00:01 0001-01-01T01:00+01 9999-12-31T23:59:59.999999Z "
        "000000000000000000000000000000000000000000000000001 1,5 "
    ).split(),
    "\u0661", "\uff11", "2024-01-01 10:00:00 +02:00", "2024-01-01  10:00", "1 2", " 1", "1\t", "1\xa0",
    "\u20091", "1\x0b", "\ufeff1", "\x0c1", "1" * 400, '1"', "1\n", "a\r\nb", "\ufeff", "\u0130nf", "na\u0131",
    " \t",
]  # fmt: skip
NEARLY_A_DAY, CLOCK = "[0-9]{4}-[01][0-9]-[0-3][0-9]", r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
NEARLY_A_ZONE = "(Z|[+-][0-9]{2}:?[0-9]{2})?"
TEXTS = st.one_of(
    st.sampled_from(ODD),
    st.text(alphabet=DIGITS + "+-.eExXnaif _:TtZz\t,\"'(", min_size=1, max_size=12),
    st.floats().map(repr),
    st.integers(-(2**65), 2**65).map(str),
    st.datetimes().map(str),
    st.datetimes(timezones=st.timezones()).map(lambda t: t.isoformat()[:40]),
    st.dates().map(str),
    st.from_regex(f"{NEARLY_A_DAY}[T ]{CLOCK}{NEARLY_A_ZONE}", fullmatch=True),
    st.text(min_size=1, max_size=6),
)  # fmt: skip


def is_file_text(text: str) -> bool:
    return text.encode("utf-8", "replace").decode() == text and "\0" not in text  # which makes a file binary


def read(texts: list[str], type_: str, finite: bool, as_text: bool) -> dict[int, Any]:
    """Line → value or REFUSED."""
    column = {"name": "v", "type": type_, "nullable": True} | ({} if finite else {"finite": False})
    feed = Feed.model_validate({"name": "test", "columns": [column, {"name": "w", "type": "int"}]})
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["v", "w"], *([text, 1] for text in texts)])
    values: dict[int, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.csv"
        path.write_bytes(file.getvalue().encode())
        landed = LandedFile(path.as_uri(), path.stat().st_size, path.stat().st_mtime_ns)
        options = ReadOptions(path.parent.as_uri(), text_columns=frozenset({"v"} if as_text else ()))
        for rows, rejects in read_chunks([landed], feed, options):
            good, refused = validate(rows, feed)
            values |= dict(zip(good.table["source_line"].to_pylist(), good.table["v"].to_pylist(), strict=True))
            values |= dict.fromkeys([*rejects["source_line"].to_pylist(), *refused["source_line"].to_pylist()], REFUSED)
    return values


def exact(values: Iterable[Any]) -> list[str]:
    """Comparable: NaN is equal to itself, -0 is not 0, and two objects may stand for UTC."""
    return [v.strftime("%Y-%m-%dT%H:%M:%S.%f") if isinstance(v, datetime) else repr(v) for v in values]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(TYPES),
    st.lists(TEXTS.filter(is_file_text), min_size=1, max_size=6),
    st.booleans(),
    st.booleans(),
)
def test_text_is_the_value_that_the_docs_say_or_refused(type_: Any, texts: Any, finite: Any, as_text: Any) -> None:
    finite = finite or type_ not in ("float", "double")
    values = read(texts, type_, finite, as_text)
    assert exact(values[line] for line in sorted(values)) == exact(documented(text, type_, finite) for text in texts)


@pytest.mark.parametrize(
    ("type_", "finite"), [*((type_, True) for type_ in TYPES), ("float", False), ("double", False)]
)
def test_odd_text_is_the_value_that_the_docs_say_alone_and_beside_others(type_: str, finite: bool) -> None:
    wanted = exact(documented(text, type_, finite) for text in ODD)
    alone = exact(next(iter(read([text], type_, finite, False).values())) for text in ODD)
    assert {t: (found, one) for t, found, one in zip(ODD, alone, wanted, strict=True) if found != one} == {}
    together = read(ODD, type_, finite, False)
    assert exact(together[line] for line in sorted(together)) == wanted
