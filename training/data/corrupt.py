"""Spoiling rows of CSV text on purpose, one kind after another, each so that the stream must refuse the row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from schemas.feed import Column, Feed
from training.data.generate import WINE

Fields = list[bytes]

NUMBERS = ("int", "long", "float", "double")


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to spoil a row: which columns it can be done to, and how."""

    name: str
    columns: tuple[int, ...]
    change: Callable[[Fields, int], Fields]


def kinds(feed: Feed) -> list[Kind]:
    """The ways in which a row of this feed can be spoiled, in a fixed order.

    text in a number, missing field, extra field, empty value, out of range, nan, bytes that are no text.
    """
    features = [(i, c) for i, c in enumerate(feed.columns) if c.role == "feature"]
    numeric = tuple(i for i, c in features if _is_number(c))
    ranged = {i: _outside(c) for i, c in features if c.type in NUMBERS and (c.min is not None or c.max is not None)}
    never_null = tuple(i for i, c in features if not c.nullable and "" in feed.csv.null_values)
    finite = tuple(i for i, c in features if _is_number(c) and c.type not in ("int", "long") and c.finite)
    utf8 = tuple(i for i, _ in features) if feed.csv.encoding.lower() in ("utf-8", "utf8") else ()
    every = (0,)
    found = [
        Kind("text_in_number", numeric, lambda fields, at: _put(fields, at, b"n/a")),
        # of one field nothing can be missing: an empty line is no row
        Kind("missing_field", every if len(feed.columns) > 1 else (), lambda fields, _: fields[:-1]),
        Kind("extra_field", every, lambda fields, _: [*fields, b"1"]),
        Kind("empty_value", never_null if len(feed.columns) > 1 else (), lambda fields, at: _put(fields, at, b"")),
        Kind("out_of_range", tuple(ranged), lambda fields, at: _put(fields, at, ranged[at])),
        Kind("nan", finite, lambda fields, at: _put(fields, at, b"nan")),
        Kind("bad_encoding", utf8, lambda fields, at: _put(fields, at, b"\xff\xfe" + fields[at])),
    ]
    return [kind for kind in found if kind.columns]


def corrupt(line: bytes, delimiter: bytes, ways: Sequence[Kind], count: int) -> bytes:
    """The line (no end of line) made wrong; `count` picks the kind, then the column, in turn."""
    kind = ways[count % len(ways)]
    fields = line.split(delimiter)
    return delimiter.join(kind.change(fields, kind.columns[count // len(ways) % len(kind.columns)]))


def _is_number(column: Column) -> bool:
    """Numbers by type, and the wine measurements even where the feed declares them as text."""
    return column.type in NUMBERS or (column.type == "string" and column.table_name in WINE)


def _outside(column: Column) -> bytes:
    beyond = column.max + 1 if column.max is not None else (column.min or 0) - 1
    return f"{beyond:.0f}".encode() if column.type in ("int", "long") else f"{beyond:g}".encode()


def _put(fields: Fields, at: int, value: bytes) -> Fields:
    return [*fields[:at], value, *fields[at + 1 :]]
