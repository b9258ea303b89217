"""Where records begin and end in CSV text, found in bulk: a record may span physical lines inside quotes.

A physical line ends with a line feed, a carriage return, or both. An empty line is no record.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.feed import Dialect
from streamscore.reading.escapes import are_escapes_inside, find_quotes

MAX_RECORD = 1 << 20  # bytes without the last line end; bounds how far a quote that was opened is searched for its end

UTF8_BOM = b"\xef\xbb\xbf"

_LF, _CR = 10, 13

Positions = npt.NDArray[np.intp]


class Records(NamedTuple):
    """The records in a text, as arrays.

    Attributes:
        starts: their first bytes.
        stops: the bytes after their last; the line end begins there.
        lines: their first physical lines, 0 = the first of the text.
        line_ends: the line ends of the text, in all.
    """

    starts: Positions
    stops: Positions
    lines: Positions
    line_ends: Positions


def count_lines(text: bytes) -> int:
    """The line ends in a text."""
    lines = text.count(b"\n")
    return lines + text.count(b"\r") - text.count(b"\r\n") if b"\r" in text else lines


def has_lone_cr(text: bytes) -> bool:
    """Whether a line ends with a carriage return alone."""
    return b"\r" in text and text.count(b"\r") != text.count(b"\r\n")


def find_records(text: bytes, dialect: Dialect) -> Records:
    """The records of a text that ends with a line feed and whose quotes are regular."""
    data = np.frombuffer(text, np.uint8)
    return _records(data, _line_ends(data, text), find_quotes(text, dialect))


def find_line_ends(text: bytes) -> Positions:
    """Where its physical lines end: the last byte of each."""
    return _line_ends(np.frombuffer(text, np.uint8), text)


def is_plain(text: bytes, dialect: Dialect) -> bool:
    """Whether every way to read a text agrees: UTF-8, no NUL, regular quotes, no record above MAX_RECORD."""
    # Arrow skips a byte order mark at the beginning of any text, be it the third block of a file
    if not is_simple(dialect) or b"\0" in text or text.startswith(UTF8_BOM) or not _is_utf8(text):
        return False
    if dialect.comment is not None and _has_comments(text, dialect.comment.encode()):
        return False
    if dialect.quote.encode() in text:
        return _are_regular(text, dialect)
    return len(text) <= MAX_RECORD or _has_short_lines(text)


def is_simple(dialect: Dialect) -> bool:
    """Whether delimiter, quote and escape are one byte each."""
    return dialect.delimiter.isascii() and dialect.quote.isascii() and (dialect.escape or "").isascii()


def cut(text: bytes, dialect: Dialect) -> int | None:
    """Where to cut a text that goes on: after its last whole record; None where that cannot be told."""
    if not is_simple(dialect):
        return None
    if dialect.comment is not None and dialect.quote.encode() in text and _has_comments(text, dialect.comment.encode()):
        return None
    if dialect.quote.encode() not in text:
        # a carriage return at the very end may be half of a line end
        return text.rfind(b"\n") + 1 or text.rfind(b"\r", 0, len(text) - 1) + 1 or None
    data = np.frombuffer(text, np.uint8)
    ends = _line_ends(data, text)
    if text.endswith(b"\r"):
        ends = ends[:-1]
    outside = ends[np.searchsorted(find_quotes(text, dialect), ends) % 2 == 0]
    if not len(outside):
        return None
    end = int(outside[-1]) + 1
    return end if _are_regular(text[:end], dialect) else None


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _has_comments(text: bytes, comment: bytes) -> bool:
    return text.startswith(comment) or b"\n" + comment in text or b"\r" + comment in text


def _has_short_lines(text: bytes) -> bool:
    # a line feed in every half means that no line is longer than the whole; cheaper than finding them all
    half = MAX_RECORD // 2
    return all(text.find(b"\n", at, at + half) >= 0 for at in range(0, len(text) - half, half))


def _are_regular(text: bytes, dialect: Dialect) -> bool:
    """Whether every quote opens a field, closes one, or is half of a doubled one, and no record is too long.

    Then the number of quotes before a line end tells whether it is inside a field.
    """
    data = np.frombuffer(text, np.uint8)
    quotes = find_quotes(text, dialect)
    if len(quotes) % 2 or not text.endswith((b"\n", b"\r")) or not are_escapes_inside(text, dialect, quotes):
        return False
    neighbours = np.zeros(256, np.bool_)
    neighbours[[_LF, _CR, ord(dialect.delimiter), ord(dialect.quote)]] = True
    opening, closing = quotes[0::2], quotes[1::2]
    before = opening[opening > 0] - 1
    if not (neighbours[data[before]].all() and neighbours[data[closing + 1]].all()):
        return False
    records = _records(data, _line_ends(data, text), quotes)
    return not len(records.starts) or int((records.stops - records.starts).max()) <= MAX_RECORD


def _line_ends(data: npt.NDArray[np.uint8], text: bytes) -> Positions:
    ends = np.flatnonzero(data == _LF)
    if not has_lone_cr(text):
        return ends
    returns = np.flatnonzero(data == _CR)
    following = data[np.minimum(returns + 1, len(data) - 1)]
    return np.sort(np.concatenate([ends, returns[following != _LF]]))


def _records(data: npt.NDArray[np.uint8], line_ends: Positions, quotes: Positions) -> Records:
    stops, lines = line_ends, np.arange(len(line_ends))
    if len(quotes):
        outside = np.flatnonzero(np.searchsorted(quotes, line_ends) % 2 == 0)
        stops, lines = line_ends[outside], np.concatenate([[0], outside[:-1] + 1])[: len(outside)]
    starts = np.concatenate([[0], stops[:-1] + 1])[: len(stops)]
    is_pair = (data[stops] == _LF) & (data[stops - 1] == _CR) & (stops > starts)
    stops = stops - is_pair
    filled = stops > starts
    return Records(starts[filled], stops[filled], lines[filled], line_ends)
