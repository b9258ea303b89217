"""Plain text as the feed's files write it: the way back of `plain`, for files that we make."""

import csv
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from schemas.columns import NUMBERS
from schemas.feed import Column, Dialect
from schemas.value_text import parse


class SupportsWrite(Protocol):
    """What takes text."""

    def write(self, text: str, /) -> object: ...


def written(text: str, column: Column, dialect: Dialect) -> str:
    """The text of a value, as docs/feeds.md says it, as this feed's files have it."""
    if column.type in NUMBERS:
        return text.replace(".", dialect.decimal)
    if column.type == "boolean":
        return (dialect.true_values if parse(text.lower(), "boolean") else dialect.false_values)[0]
    if column.format is None and column.zone is None:
        return text
    said = parse(text, column.type)
    if not isinstance(said, datetime):
        return said.strftime(column.format or "%Y-%m-%d")  # type: ignore[union-attr]
    local = said.astimezone(ZoneInfo(column.zone or "UTC"))
    # with its offset, a time that the clocks say twice is one
    return local.isoformat() if column.format is None else local.strftime(column.format)


def is_plain(column: Column, dialect: Dialect) -> bool:
    """Whether `written` changes nothing."""
    if column.type in NUMBERS:
        return dialect.decimal == "."
    if column.type == "boolean":
        return dialect.has_plain_booleans
    return column.format is None and column.zone is None


class DialectWriter:
    """Writes records of text as CSV in a dialect, after the lines that are skipped.

    Args:
        to: what takes the text.
    """

    def __init__(self, to: SupportsWrite, dialect: Dialect) -> None:
        self._escape = dialect.escape
        to.write("\n" * dialect.skip_lines)
        # in quotes, a backslash may be doubled, and a # at the beginning is no comment
        needs_no_quotes = dialect.escape is None and dialect.comment is None
        self._writer = csv.writer(
            to,
            delimiter=dialect.delimiter,
            quotechar=dialect.quote,
            lineterminator="\n",
            quoting=csv.QUOTE_MINIMAL if needs_no_quotes else csv.QUOTE_ALL,
        )

    def write(self, record: Iterable[str]) -> None:
        """One record."""
        escape = self._escape
        self._writer.writerow(record if escape is None else [text.replace(escape, escape * 2) for text in record])
