"""Pollutions of one cell: text that still says its value, text that says none, text that says one the feed forbids.

Each is (name, the text in place of the old one, what it is then): the value, unchanged or another, or the reason for
which docs/feeds.md and docs/tables.md refuse it. None in place of a text: it cannot be made of this value.
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import numpy as np

from benchmarks.pollute.draft import Cell, Draft
from benchmarks.pollute.kinds import Kind
from benchmarks.pollute.seeds import can_write
from benchmarks.pollute.times import BAD, Text, dates, timestamps

NULL, RANGE, OTHER, INFINITE = "null_not_allowed", "out_of_range", "not_allowed", "not_finite"


def pollute_cell(draft: Draft, at: int, number: int, random: Random) -> bool:
    """Put the number-th text for a column into some row; False if there is none, or no row is left."""
    column, kind = draft.kind.columns[at], draft.kind
    record = draft.pick(random)
    if record is None or at not in draft.order:
        return False
    cell = record.cells[at]
    if cell.value is None and column["type"] != "string":
        return False
    made = list(texts(cell, column, kind))
    if number >= len(made):
        return False
    chosen = made[number]
    if not can_write(chosen.raw or chosen.text, draft.encoding):
        return False
    record.cells[at] = Cell(chosen.text, chosen.value, chosen.reason, chosen.is_quoted, chosen.raw)
    draft.pollutions.append(f"cell: {column['type']}: {chosen.name}")
    return True


def texts(cell: Cell, column: Any, kind: Kind) -> Iterator[Text]:
    """All that this module can make of a cell."""
    yield from _OF_TYPE[column["type"]](cell, column, kind)
    if column["type"] == "string":
        return
    for name, space, is_trimmed in (
        ("spaces around it", "  ", True),
        ("a tab around it", "\t", True),
        ("no-break space around it", "\xa0", False),
        ("a vertical tab around it", "\v", False),
        ("an ideographic space around it", "\u3000", False),
        ("a byte order mark before it", "\ufeff", False),
        ("a zero-width space before it", "\u200b", False),
        ("a control character before it", "\x01", False),
    ):
        if is_trimmed:
            yield Text(name, f"{space}{cell.text}{space}", cell.value)
            yield Text(f"{name}, in quotes", f"{space}{cell.text}", cell.value, is_quoted=True)
        else:
            yield Text(name, space + cell.text, reason=BAD)
    yield Text("quotes around it", cell.text, cell.value, is_quoted=True)
    yield Text("a quote in its middle", "", reason=BAD, raw=f"{cell.text[:1]}{kind.quote}{cell.text[1:]}")
    for name, text in (("text", "unknown"), ("a question mark", "?"), ("a formula", "=1+1"), ("an error", "#DIV/0!")):
        yield Text(f"{name} in its place", text, reason=BAD)
    yield from _nulls(column, kind)


def _nulls(column: Any, kind: Kind) -> Iterator[Text]:
    # a target may be null; it is nullable in these feeds
    reason = "" if column.get("nullable") else NULL
    for null in kind.nulls:
        yield Text(f"null as {null!r}", null, reason=reason)
        yield Text(f"null as {null!r} in quotes", null, reason=reason, is_quoted=True)
    for other in {"NULL", "NA", "N/A", "None", "-", "nan" if column["type"] in ("int", "long") else "<NA>"}:
        if other not in kind.nulls:
            yield Text(f"{other} that is not the feed's null", other, reason=BAD)
    yield Text("a space alone", " ", reason=BAD)


def _double(cell: Cell, column: Any, kind: Kind) -> Iterator[Text]:
    value, text, mark = float(cell.value), cell.text, kind.decimal  # type: ignore[arg-type]
    plain = text.replace(kind.thousands or "\0", "")
    other = "." if mark == "," else ","
    yield Text("a plus sign", f"+{text}", value)
    yield Text("zeros before it", f"00{plain}", value)
    yield Text("zeros after it", f"{plain}000", value)
    yield Text("an exponent", f"{plain}e0", value)
    yield Text("a capital exponent with sign", f"{plain}E+00", value)
    scaled = f"{plain.replace(mark, '')}e-{len(plain.partition(mark)[2])}"
    yield Text("digits and an exponent", scaled, value)
    yield Text("nothing after the mark", f"12{mark}", 12.0)
    yield Text("nothing before the mark", f"{mark}5", 0.5)
    yield Text("minus zero", "-0", -0.0)
    tiny = f"1{mark}0000000000000002"
    yield Text("seventeen digits", tiny, float(np.float32(1)) if column["type"] == "float" else 1.0000000000000002)
    yield Text("a subnormal number", "1e-320", 0.0 if column["type"] == "float" else 1e-320)
    if kind.thousands:
        yield Text("groups of thousands", f"1{kind.thousands}234{mark}5", 1234.5)
        yield Text("no groups of thousands", f"1234{mark}5", 1234.5)
        yield Text("a group of two digits", f"1{kind.thousands}23{mark}5", reason=BAD)
        yield Text("a group at the end alone", f"12{mark}5{kind.thousands}", reason=BAD)
    else:
        yield Text("the other decimal mark", f"1{other}5", reason=BAD, is_quoted=other == kind.delimiter)
        yield Text("groups with apostrophes", "1'234.5" if mark == "." else "1'234,5", reason=BAD)
        yield Text("groups with the other mark", f"1{other}234{mark}5", reason=BAD)
    for name, made in (
        ("an underscore", f"0_0{plain}"), ("hexadecimal", "0x1f"), ("a hexadecimal float", "0x1p3"),
        ("a unit", f"{text} kg"),
        ("a currency", f"€{text}"), ("a percent sign", f"{text}%"), ("a typographic minus", f"\u2212{plain}"),
        ("full-width digits", _digits(plain, 0xFF10)), ("Arabic digits", _digits(plain, 0x660)),
        ("two marks", f"1{mark}2{mark}3"),
        ("half an exponent", f"{plain}e"), ("parentheses for minus", f"({text})"), ("a minus after it", f"{plain}-"),
        ("a letter O for a zero", "1O"), ("a suffix of a type", f"{plain}d"), ("a range", f"{plain}-{plain}"),
        ("two numbers", f"{plain} {plain}"), ("a fraction", "1/2"),
    ):  # fmt: skip
        yield Text(name, made, reason=BAD)
    yield from _beyond(column, mark)


def _digits(text: str, zero: int) -> str:
    """The same digits of another alphabet."""
    return text.translate({ord("0") + digit: chr(zero + digit) for digit in range(10)})


def _beyond(column: Any, mark: str) -> Iterator[Text]:
    """Infinite numbers, and those out of range."""
    is_finite = column.get("finite", True)
    for name, made in (
        ("NaN", "nan"),
        ("infinity", "inf"),
        ("minus infinity", "-Infinity"),
        ("NaN in capitals", "NAN"),
    ):
        yield Text(name, made, float(made), reason=INFINITE if is_finite else "")
    # they are not what they come to; where that is refused anyway, the reason may be either
    for name, made in (("a number too large", "1e400"), ("a NaN with a payload", "nan(1)")):
        yield Text(name, made, float(made.partition("(")[0]), reason=f"{BAD} or {INFINITE}" if is_finite else BAD)
    if "max" in column:
        yield Text("a number above the range", f"{column['max']}{mark}001", column["max"] + 0.001, RANGE)
        yield Text("a number on the limit", str(column["max"]), float(column["max"]))
    if "min" in column:
        yield Text("a number below the range", f"-0{mark}001", -0.001, RANGE)


def _whole(cell: Cell, column: Any, kind: Kind) -> Iterator[Text]:
    value = int(cell.value)  # type: ignore[arg-type]
    plain, largest = str(value), 2**31 - 1 if column["type"] == "int" else 2**63 - 1
    takes_whole = kind.csv.get("integers") == "whole"
    mark = kind.decimal
    yield Text("zeros before it", f"00{plain}", value)
    refused = "" if takes_whole else BAD
    yield Text("a point and a zero", f"{plain}{mark}0", value, refused)
    yield Text("an exponent", f"{plain}e0", value, "" if takes_whole and value <= 2**53 else BAD)
    yield Text("a negative exponent", f"{plain}000e-3", value, "" if takes_whole and value <= 2**53 else BAD)
    if column.get("role") != "key" and "max" not in column:
        yield Text("the largest of its type", str(largest), largest)
        yield Text("the smallest of its type", str(-largest - 1), -largest - 1)
    if "max" in column:
        yield Text("a number above the range", str(column["max"] + 1), column["max"] + 1, RANGE)
        yield Text("a number below the range", "-1", -1, RANGE)
    for name, made in (
        ("a plus sign", f"+{plain}"), ("a fraction", f"{plain}{mark}5"), ("a number too large", str(largest + 1)),
        ("a number far too large", "9" * 40), ("hexadecimal", hex(value)),
        ("an underscore", f"{plain[:1]}_{plain[1:]}"),
        ("a currency", f"${plain}"), ("full-width digits", _digits(plain, 0xFF10)),
        ("a typographic minus", f"\u2212{plain}"), ("a minus after it", f"{plain}-"),
        ("two numbers", f"{plain} {plain}"), ("NaN", "NaN"), ("a letter", f"{plain}a"), ("infinity", "inf"),
    ):  # fmt: skip
        yield Text(name, made, reason=BAD)
    if kind.thousands:
        if column.get("role") != "key":
            yield Text("groups of thousands", f"1{kind.thousands}234", 1234)
        yield Text("a group of two digits", f"1{kind.thousands}23", reason=BAD)
    else:
        yield Text("groups of thousands", "1,234", reason=BAD)


def _boolean(cell: Cell, column: Any, kind: Kind) -> Iterator[Text]:
    own = "true_values" in kind.csv
    words = ["JA", "Ja"] if own else ["TRUE", "True", "1", "tRuE"]
    for word in words:
        yield Text(f"true as {word}", word, True)
    for word in ["NEIN"] if own else ["FALSE", "0"]:
        yield Text(f"false as {word}", word, False)
    for word in ("true", "1", "0", "j") if own else ("yes", "no", "T", "on", "ja", "01", "1.0", "2", "tru"):
        yield Text(f"a boolean as {word}", word, word not in ("no", "0"), BAD)
    yield Text("a boolean with a full-width digit", "\uff11", reason=BAD)


def _string(cell: Cell, column: Any, kind: Kind) -> Iterator[Text]:
    if "allowed" in column:
        for word in ("WEB", "web ", " web", "fax", "w\u0435b", "web\u200b", "shop,phone", "", "web\n"):
            if word not in kind.nulls:
                yield Text(f"{word!r} that is not allowed", word, word, OTHER)
        yield Text("quotes around it", cell.text, cell.value, is_quoted=True)
        yield Text("null", kind.nulls[0], reason=NULL)
        return
    quote = kind.quote
    for name, text in (
        ("spaces around it", "  a b  "), ("a delimiter", f"a{kind.delimiter}b"), ("a quote", f"a{quote}b"),
        ("quotes alone", quote * 2),
        ("a quote first", f"{quote}a"), ("a quote last", f"a{quote}"), ("a line break", "a\nb"), ("a CRLF", "a\r\nb"),
        ("a CR", "a\rb"),
        ("many line breaks", "\n" * 5 + "a"), ("a backslash last", "a\\"), ("backslashes", "\\\\a\\n"),
        ("é as two characters", "cafe\u0301"),
        ("é as one character", "café"), ("an emoji of many", "👩‍👩‍👧"), ("text from right to left", "\u202eabc\u202c"),
        ("a byte order mark", "\ufeffa"), ("a control character", "a\x01b"), ("an escape sequence", "\x1b[31mred"),
        ("a line separator", "a\u2028b"),
        ("a next line", "a\x85b"), ("a vertical tab", "a\vb"), ("a form feed", "a\fb"),
        ("a file separator", "a\x1cb"),
        ("a formula", "=cmd|' /C calc'!A0"), ("markup", "<b>x</b>"), ("a long text", "x" * 70_000),
        ("a number", "007"), ("a date", "2024-01-01"),
        ("NaN", "NaN"), ("None", "None"), ("a comment sign", "#"), ("a percent sign", "100%"), ("a tab", "a\tb"),
        ("no-break space", "\xa0"),
        ("a character beyond 16 bits", "𝒳"), ("a non-character", "\ufffe"), ("a replacement character", "\ufffd"),
        ("a private character", "\ue000"),
    ):  # fmt: skip
        if text not in kind.nulls:
            yield Text(name, text, text)
    yield Text("quotes around it", cell.text, cell.value, is_quoted=True)
    for null in kind.nulls:
        yield Text(f"null as {null!r} in quotes", null, is_quoted=True)
    yield Text("a quote in its middle", "", f"5{quote} pipe", raw=f"5{quote} pipe")


_OF_TYPE: dict[str, Callable[[Cell, Any, Kind], Iterator[Text]]] = {
    "double": _double,
    "float": _double,
    "int": _whole,
    "long": _whole,
    "date": dates,
    "timestamp": timestamps,
    "boolean": _boolean,
    "string": _string,
}
