"""Plain text as the feed's files write it: the way back of `plain`, for files that we make."""

from datetime import datetime
from zoneinfo import ZoneInfo

from schemas.columns import NUMBERS
from schemas.feed import Column, Dialect
from schemas.value_text import parse


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
