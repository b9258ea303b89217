"""Text as the feed's files write it in, text as every feed has it by default out; what is neither becomes `?`."""

import re
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import NUMBERS
from schemas.feed import Column, Dialect
from schemas.time_format import LONG_MONTHS, MONTHS, time_format

_NOTHING = "?"  # no value of any type
_NOT_FINITE = "[+-]?(?i:nan|inf|infinity)"
_EXPONENT = r"^-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]{1,3}$"
_EXACT = 2**53  # whole numbers up to here are exact as doubles


def plain(text: pa.Array, column: Column, dialect: Dialect) -> pa.Array:
    """The text of a column's values without the dialect's own ways to write them; null stays null."""
    if column.type in NUMBERS:
        if dialect.decimal != "." or dialect.thousands is not None:
            text = _without_marks(text, dialect)
        return _whole(text) if column.type in ("int", "long") and dialect.integers == "whole" else text
    if column.type == "boolean" and not dialect.has_plain_booleans:
        return _said(text, dialect)
    if column.format is not None:
        text = _by_format(text, column)
    return text


def truncated(text: pa.Array, column: Column, dialect: Dialect) -> pa.Array:
    """Plain text with no more digits of a second than a time has, where `csv.fractions` takes more."""
    if column.type != "timestamp" or dialect.fractions != "truncate":
        return text
    return pc.replace_substring_regex(text, r"(\.[0-9]{6})[0-9]{1,3}($|[^0-9])", r"\1\2")


def has_plain_numbers(dialect: Dialect) -> bool:
    """Whether numbers are written as Arrow's own reader wants them."""
    return dialect.decimal == "." and dialect.thousands is None and dialect.integers == "digits"


def _without_marks(text: pa.Array, dialect: Dialect) -> pa.Array:
    """`1.234,5` → `1234.5`."""
    decimal, thousands = re.escape(dialect.decimal), re.escape(dialect.thousands or "")
    grouped = f"[0-9]{{1,3}}(?:{thousands}[0-9]{{3}})+|" if dialect.thousands else ""
    number = rf"[+-]?(?:{grouped}[0-9]*)(?:{decimal}[0-9]*)?(?:[eE][+-]?[0-9]+)?"
    is_one = pc.match_substring_regex(text, f"^(?:{number}|{_NOT_FINITE})$")
    if dialect.thousands:
        text = _where(is_one, pc.replace_substring(text, dialect.thousands, ""), text)
    return _where(is_one, pc.replace_substring(text, dialect.decimal, "."))


def _whole(text: pa.Array) -> pa.Array:
    """`3.0` → `3`, `1e3` → `1000`; what has a fraction stays."""
    text = pc.replace_substring_regex(text, r"^(-?[0-9]+)\.0*$", r"\1")
    is_power = pc.match_substring_regex(text, _EXPONENT)
    if not pc.any(is_power).as_py():
        return text
    written = pa.array(map(_power, text.filter(is_power).to_pylist()), pa.string())
    return pc.replace_with_mask(text, pc.fill_null(is_power, False), written)


def _power(text: str) -> str:
    # not by way of a float, which makes 9007199254740992 of 9007199254740993e0
    value = Decimal(text)
    is_whole = -_EXACT <= value <= _EXACT and value == value.to_integral_value()
    return str(int(value)) if is_whole else text


def _said(text: pa.Array, dialect: Dialect) -> pa.Array:
    lower = pc.utf8_lower(text)
    is_true, is_false = (
        pc.is_in(lower, value_set=pa.array([word.lower() for word in words]))
        for words in (dialect.true_values, dialect.false_values)
    )
    return _where(pc.or_(is_true, is_false), pc.if_else(is_true, "true", "false"), keep=text)


def _by_format(text: pa.Array, column: Column) -> pa.Array:
    """ISO 8601."""
    pattern, directives = time_format(column.format or "", column.type == "date")
    parts = pc.extract_regex(text, f"(?i)^(?:{pattern})$")
    is_one = parts.is_valid()
    named = {letter: pc.struct_field(parts, letter) for letter in directives}
    two = {letter: pc.utf8_lpad(named[letter], 2, "0") for letter in directives & set("mdHIMS")}
    if "y" in named:  # as POSIX: 69 is 1969, 68 is 2068
        century = pc.if_else(pc.greater_equal(named["y"], "69"), "19", "20")
        year = pc.binary_join_element_wise(century, named["y"], "")
    else:
        year = named["Y"]
    month = two.get("m")
    if month is None:
        names, said = (MONTHS, named["b"]) if "b" in named else (tuple(LONG_MONTHS), named["B"])
        number = pc.add(pc.index_in(pc.utf8_lower(said), value_set=pa.array(names)), 1)
        month = pc.utf8_lpad(pc.cast(number, pa.string()), 2, "0")
    written = pc.binary_join_element_wise(year, month, two["d"], "-")
    if column.type == "timestamp" and directives & {"H", "I"}:
        hour = two["H"] if "H" in two else _of_twelve(named["I"], named["p"])
        clock = pc.binary_join_element_wise(hour, two.get("M", "00"), two.get("S", "00"), ":")
        written = pc.binary_join_element_wise(written, clock, "T")
        if "f" in named:
            written = pc.binary_join_element_wise(written, named["f"], ".")
        if "z" in named:
            written = pc.binary_join_element_wise(written, pc.utf8_upper(named["z"]), "")
    return _where(is_one, written, keep=text)


def _of_twelve(hour: pa.Array, half: pa.Array) -> pa.Array:
    """`12` and `am` → `00`; an hour beyond 1 to 12 → `99`, which is none."""
    number = pc.cast(hour, pa.int32())
    is_afternoon = pc.equal(pc.utf8_lower(half), "pm")
    of_day = pc.add(pc.if_else(pc.equal(number, 12), 0, number), pc.if_else(is_afternoon, 12, 0))
    is_one = pc.and_(pc.greater_equal(number, 1), pc.less_equal(number, 12))
    return pc.utf8_lpad(pc.cast(pc.if_else(is_one, of_day, 99), pa.string()), 2, "0")


def _where(is_one: pa.Array, then: pa.Array, keep: pa.Array | None = None) -> pa.Array:
    """What is one, `?` for the rest, null where the text is null."""
    told = pc.if_else(pc.fill_null(is_one, False), then, _NOTHING)
    return pc.if_else(pc.is_null(then if keep is None else keep), None, told)
