"""Text to typed values, one column at a time. What does not convert is told, value by value.

Both ways of reading end here, except that Arrow's CSV reader itself turns text into numbers where it can: it takes what
`pyarrow.compute.cast` takes after spaces and tabs are trimmed (test_read_properties.py holds them together).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from schemas.feed import TYPES

# Arrow's CSV reader and `as_type` agree on these, so they need not pass through text.
READ_BY_ARROW = frozenset({TYPES["int"], TYPES["long"], TYPES["float"], TYPES["double"]})

_TIME = TYPES["timestamp"]
_ZONE = r"[T ]\d.*(Z|[+-]\d\d(:?\d\d)?)$"


@dataclass(frozen=True, slots=True)
class Converted:
    """Values of one type, null where the text was null or did not convert; `failed` lists the latter."""

    values: pa.Array
    failed: Sequence[int]


def convert(text: pa.Array | pa.ChunkedArray, to: pa.DataType) -> Converted:
    """A column of strings as another type: one call where all of them convert, a search where not.

    Numbers as Arrow reads them; booleans `true`, `false`, `1`, `0` in any case; dates `2024-12-31`; timestamps in
    ISO 8601 with at most six digits of a second, in UTC where they name no zone.
    """
    try:
        return Converted(as_type(text, to), ())
    except pa.ArrowInvalid:
        pass
    codes = text.combine_chunks().dictionary_encode() if isinstance(text, pa.ChunkedArray) else text.dictionary_encode()
    failed = _failing(codes.dictionary, lambda values: as_type(values, to))
    is_bad = pc.is_in(codes.indices, value_set=pa.array(failed, codes.indices.type), skip_nulls=True)
    good = pc.if_else(pa.array(_mask(failed, len(codes.dictionary))), None, codes.dictionary)
    values = as_type(good, to).take(codes.indices)
    return Converted(values, pc.indices_nonzero(is_bad).to_pylist())


def as_type(text: pa.Array | pa.ChunkedArray, to: pa.DataType) -> pa.Array:
    """The text as values of that type.

    Raises:
        pa.ArrowInvalid: one of them does not convert.
    """
    if to == pa.string():
        return text
    trimmed = pc.utf8_trim(text, " \t")
    return _as_time(trimmed) if to == _TIME else pc.cast(trimmed, to)


def _as_time(text: pa.Array) -> pa.Array:
    has_zone = pc.match_substring_regex(text, _ZONE)
    if not pc.any(has_zone).as_py():
        return _in_utc(text)
    zoned = pc.cast(pc.if_else(has_zone, text, None), _TIME)
    return pc.coalesce(zoned, _in_utc(pc.if_else(has_zone, None, text)))


def _in_utc(text: pa.Array) -> pa.Array:
    return pc.assume_timezone(pc.cast(text, pa.timestamp(_TIME.unit)), "UTC")


def _failing(values: pa.Array, attempt: Callable[[pa.Array], pa.Array], first: int = 0) -> list[int]:
    """The positions whose values do not convert, found by halving."""
    try:
        attempt(values)
    except pa.ArrowInvalid:
        if len(values) == 1:
            return [first]
        half = len(values) // 2
        return _failing(values[:half], attempt, first) + _failing(values[half:], attempt, first + half)
    return []


def _mask(positions: Sequence[int], length: int) -> list[bool]:
    mask = [False] * length
    for position in positions:
        mask[position] = True
    return mask
