"""Text to typed values, one column at a time. What does not convert is told, value by value.

Both ways of reading end here, except that Arrow's CSV reader itself turns text into numbers where it can: it takes
what `pyarrow.compute.cast` takes after spaces and tabs are trimmed (test_read_properties.py holds them together). Both
take more than docs/feeds.md does: what is beyond it is refused here, and kept from the reader.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import NUMBERS
from schemas.feed import TYPES, Column, Dialect
from schemas.value_text import PATTERNS
from streamscore.reading.plain import has_plain_numbers, plain, truncated

_TIME = TYPES["timestamp"]
_ZONE = r"[T ]\d.*(Z|[+-]\d\d(:?\d\d)?)$"
# Arrow knows no change of clocks from here on; Python reads the rules that the time zone database has for them.
_RULES_END = datetime(2037, 1, 1)  # noqa: DTZ001  in local time
# The first and the last value of the years 1 to 9999, beyond which most readers of the tables fail.
_YEARS = {
    TYPES["date"]: (-719_162, 2_932_896),  # days since 1970
    _TIME: (-62_135_596_800_000_000, 253_402_300_799_999_999),  # microseconds
}
# What text has to be to be one at all. Arrow takes nan(x) for NaN, and so does a column that refuses NaN anyway.
_MAY_BE = PATTERNS | dict.fromkeys(("float", "double"), r"[+-]?[0-9.iInN].*")


def is_read_by_arrow(column: Column, dialect: Dialect) -> bool:
    """Whether Arrow's CSV reader makes the values that `convert` makes; of whole numbers, unless `may_be_hex`.

    NaN and infinity of a column that takes them must be told from text that only comes to them, as 1e400.
    """
    return column.type in NUMBERS and column.finite and has_plain_numbers(dialect)


def may_be_hex(text: bytes) -> bool:
    """Whether whole numbers of a CSV text may be 0x1f, which Arrow takes for 31."""
    return b"0x" in text or b"0X" in text


@dataclass(frozen=True, slots=True)
class Converted:
    """Values of one type, null where the text was null or did not convert.

    Attributes:
        failed: which did not convert.
        truncated: how many lost digits of a second (`csv.fractions`).
    """

    values: pa.Array
    failed: Sequence[int]
    truncated: int = 0


def convert(text: pa.Array | pa.ChunkedArray, column: Column, dialect: Dialect) -> Converted:
    """A column of strings as the feed's type: one call where all of them convert, a search where not.

    What is taken is in docs/feeds.md.
    """
    if isinstance(text, pa.ChunkedArray):
        text = text.chunk(0) if text.num_chunks == 1 else text.combine_chunks()
    if column.type == "string":
        return Converted(text, ())
    whole = plain(pc.utf8_trim(text, " \t"), column, dialect)
    text = truncated(whole, column, dialect)
    try:
        values = _as_type(text, column)
        return Converted(values, (), _count_shorter(text, whole, values))
    except pa.ArrowInvalid:
        pass
    codes = text.dictionary_encode()
    failed = _failing(codes.dictionary, column)
    is_bad = pc.is_in(codes.indices, value_set=pa.array(failed, codes.indices.type), skip_nulls=True)
    good = pc.if_else(pa.array(_mask(failed, len(codes.dictionary))), None, codes.dictionary)
    values = _as_type(good, column).take(codes.indices)
    return Converted(values, pc.indices_nonzero(is_bad).to_pylist(), _count_shorter(text, whole, values))


def _count_shorter(text: pa.Array, whole: pa.Array, values: pa.Array) -> int:
    """How many values are of text that lost some of its end."""
    return 0 if text is whole else pc.sum(pc.and_(pc.not_equal(text, whole), values.is_valid())).as_py() or 0


def _as_type(text: pa.Array, column: Column) -> pa.Array:
    """The plain text as values of the column's type.

    Raises:
        pa.ArrowInvalid: one of them does not convert.
    """
    to = column.arrow_type
    values = _as_time(text, column.zone or "UTC") if to == _TIME else pc.cast(text, to)
    _assert_documented(text, values, column)
    return values


def _assert_documented(text: pa.Array, values: pa.Array, column: Column) -> None:
    """Raise ArrowInvalid if Arrow took what is no value: 0x1f, a year beyond 9999, 1e400 where infinity may be."""
    is_wrong = None
    if column.type in ("int", "long"):
        is_wrong = pc.match_substring(text, "x", ignore_case=True)
    elif column.arrow_type in _YEARS:
        first, last = _YEARS[column.arrow_type]
        found = pc.min_max(values.cast(pa.int32() if column.type == "date" else pa.int64())).as_py()
        if found["min"] is not None and (found["min"] < first or found["max"] > last):
            msg = "a time beyond the years 1 to 9999"
            raise pa.ArrowInvalid(msg)
    elif not column.finite:
        said = pc.match_substring_regex(text, r"^[+-]?(?i:nan|inf|infinity)$")
        is_wrong = pc.and_not(pc.invert(pc.is_finite(values)), said)
    if is_wrong is not None and pc.any(is_wrong).as_py():
        msg = f"text that is no {column.type}"
        raise pa.ArrowInvalid(msg)


def _as_time(text: pa.Array, zone: str) -> pa.Array:
    """Times in UTC; one that names no zone is of `zone`, where it has to be there, and once."""
    has_zone = pc.match_substring_regex(text, _ZONE)
    if not pc.any(has_zone).as_py():
        return _in_utc(text, zone)
    zoned = pc.cast(pc.if_else(has_zone, text, None), _TIME)
    return pc.coalesce(zoned, _in_utc(pc.if_else(has_zone, None, text), zone))


def _in_utc(text: pa.Array, zone: str) -> pa.Array:
    times = pc.cast(text, pa.timestamp(_TIME.unit))
    is_late = pc.greater_equal(times, pa.scalar(_RULES_END, times.type))
    if zone == "UTC" or not pc.any(is_late).as_py():
        return pc.assume_timezone(times, zone).cast(_TIME)
    known = pc.assume_timezone(pc.if_else(is_late, None, times), zone).cast(_TIME)
    late = pc.if_else(is_late, times, None).dictionary_encode()
    by_rule = pa.array([_by_rule(time, ZoneInfo(zone)) for time in late.dictionary.to_pylist()], _TIME)
    return pc.coalesce(known, by_rule.take(late.indices))


def _by_rule(time: datetime, zone: ZoneInfo) -> datetime:
    """A local time in UTC, which has to be there, and once."""
    try:
        first, second = (time.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    except OverflowError as error:
        msg = f"{time} is beyond the years 1 to 9999 in UTC"
        raise pa.ArrowInvalid(msg) from error
    if first != second:  # the clocks skip it or say it twice
        msg = f"{time} is not one time in {zone}"
        raise pa.ArrowInvalid(msg)
    return first


def _failing(values: pa.Array, column: Column) -> list[int]:
    """The positions of the values that do not convert."""
    pattern = f"^(?:{_MAY_BE[column.type]})$"
    may_be = pc.match_substring_regex(values, pattern).to_numpy(zero_copy_only=False)
    at = np.flatnonzero(may_be)
    wrong = at[_search(values.take(pa.array(at)), lambda some: _as_type(some, column))]
    return sorted([*np.flatnonzero(~may_be).tolist(), *wrong.tolist()])


def _search(values: pa.Array, attempt: Callable[[pa.Array], pa.Array], first: int = 0) -> list[int]:
    """The positions whose values do not convert, found by halving."""
    try:
        attempt(values)
    except pa.ArrowInvalid:
        if len(values) == 1:
            return [first]
        half = len(values) // 2
        return _search(values[:half], attempt, first) + _search(values[half:], attempt, first + half)
    return []


def _mask(positions: Sequence[int], length: int) -> list[bool]:
    mask = [False] * length
    for position in positions:
        mask[position] = True
    return mask
