"""Which text is a value of a type: what docs/feeds.md says, as patterns for every reader of text."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"[0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)?"
_ZONE = r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)"
_WHOLE = r"-?[0-9]+"
_NUMBER = r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:nan|inf|infinity))"

# Whole text of a value, without the spaces and tabs around it. Python and RE2 read them alike.
PATTERNS = {
    "boolean": r"(?i:true|false|[01])",
    "int": _WHOLE,
    "long": _WHOLE,
    "float": _NUMBER,
    "double": _NUMBER,
    "date": _DATE,
    "timestamp": f"{_DATE}(?:[T ]{_CLOCK}{_ZONE}?)?",
}

Value = str | int | float | bool | date | datetime


def parse(text: str, kind: str) -> Value:
    """The value of that type that a text says.

    Raises:
        ValueError: it says none; of a time beyond the years 1 to 9999 too.
    """
    if kind == "string":
        return text
    if not re.fullmatch(PATTERNS[kind], text):
        msg = f"found {text!r}, wanted {kind}"
        raise ValueError(msg)
    return _PARSERS[kind](text)


def _time(text: str) -> datetime:
    said = datetime.fromisoformat(text)
    try:
        return said.replace(tzinfo=UTC) if said.tzinfo is None else said.astimezone(UTC)
    except OverflowError as error:
        msg = f"{text} is not within the years 1 to 9999 in UTC"
        raise ValueError(msg) from error


_PARSERS: dict[str, Callable[[str], Value]] = {
    "boolean": lambda text: text.lower() in ("true", "1"),
    "int": int,
    "long": int,
    "float": float,
    "double": float,
    "date": date.fromisoformat,
    "timestamp": _time,
}
