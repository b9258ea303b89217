r"""Escapes as Spark's CSV writer makes them (`csv.escape`), found in bulk.

Inside quotes, the escape makes the quote or the escape after it text: `"say \"hi\""`, `"C:\\"`. Before anything else,
and outside quotes, it is a character like any other. A doubled quote stays one quote.
"""

import numpy as np
import numpy.typing as npt

from schemas.feed import Dialect

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.intp]


def has_escapes(text: bytes, dialect: Dialect) -> bool:
    """Whether the feed has an escape, and the text too."""
    return dialect.escape is not None and dialect.escape.encode() in text


def find_quotes(text: bytes, dialect: Dialect) -> Positions:
    """Where quotes are that open a field, close one, or are half of a doubled one: all that are not escaped."""
    quote = dialect.quote.encode()
    if quote not in text:
        return np.empty(0, np.intp)
    data = np.frombuffer(text, np.uint8)
    quotes = np.flatnonzero(data == quote[0])
    return quotes[~_are_escaped(quotes, data, dialect)] if has_escapes(text, dialect) else quotes


def count_quotes(text: bytes, dialect: Dialect) -> int:
    """The number of these quotes."""
    return len(find_quotes(text, dialect)) if has_escapes(text, dialect) else text.count(dialect.quote.encode())


def are_escapes_inside(text: bytes, dialect: Dialect, quotes: Positions) -> bool:
    """Whether no quote after an escape stands outside of `quotes`, where both are characters like any other."""
    if not has_escapes(text, dialect):
        return True
    data = np.frombuffer(text, np.uint8)
    others = np.setdiff1d(np.flatnonzero(data == ord(dialect.quote)), quotes, assume_unique=True)
    return bool((np.searchsorted(quotes, others) % 2 == 1).all())


def as_doubled(text: bytes, dialect: Dialect) -> bytes:
    """The same fields with doubled quotes in place of escapes, line by line; for text whose quotes are regular."""
    if not has_escapes(text, dialect):
        return text
    data = np.frombuffer(text, np.uint8)
    escape, quote = ord(dialect.escape or ""), ord(dialect.quote)
    escapes = np.flatnonzero(data == escape)
    is_inside = np.searchsorted(find_quotes(text, dialect), escapes) % 2 == 1
    first = escapes[is_inside & ((escapes - _run_starts(escapes)) % 2 == 0)]  # of each pair
    following = data[first + 1]
    doubled = data.copy()
    doubled[first[following == quote]] = quote
    return np.delete(doubled, first[following == escape]).tobytes()


def _are_escaped(at: Positions, data: Bytes, dialect: Dialect) -> npt.NDArray[np.bool_]:
    """Whether an odd number of escapes stands directly before each position."""
    escapes = np.flatnonzero(data == ord(dialect.escape or ""))
    before = np.searchsorted(escapes, at) - 1  # -1 where there is none: the last one, which is not adjacent then
    is_adjacent = escapes[before] == at - 1
    return is_adjacent & ((at - _run_starts(escapes)[before]) % 2 == 1)


def _run_starts(escapes: Positions) -> Positions:
    """For each escape, the first one of those that it stands beside."""
    is_first = np.concatenate([[True], np.diff(escapes) > 1])
    return escapes[is_first][np.cumsum(is_first) - 1]
