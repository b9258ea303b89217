"""How a feed's files write dates and times, where it is not ISO 8601: `%d.%m.%Y %H:%M`."""

import functools
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
LONG_MONTHS = "january february march april may june july august september october november december".split()

_NUMBER = "[0-9]{1,2}"
# What each directive takes, in any case; its group has its letter.
DIRECTIVES: Mapping[str, str] = MappingProxyType(
    {
        "Y": "[0-9]{4}",
        "y": "[0-9]{2}",
        "m": _NUMBER,
        "b": "|".join(MONTHS),
        "B": "|".join(LONG_MONTHS),
        "d": _NUMBER,
        "H": _NUMBER,
        "I": _NUMBER,
        "p": "am|pm",
        "M": _NUMBER,
        "S": _NUMBER,
        "f": "[0-9]{1,9}",
        "z": "Z|[+-][0-9]{2}(?::?[0-9]{2})?",
    }
)
_WORDS = "bBp"
_OF_A_TIME = "HIpMSfz"
_EITHER = ({"Y", "y"}, {"m", "b", "B"}, {"H", "I"})


class TimeFormat(NamedTuple):
    """A format that makes sense.

    Attributes:
        pattern: what the whole text must match, for Python and RE2; a group for each directive, by its letter.
        directives: their letters.
    """

    pattern: str
    directives: frozenset[str]


@functools.cache
def time_format(text: str, is_date: bool) -> TimeFormat:
    """The format that a text says.

    Raises:
        ValueError: an unknown directive, one twice, or no whole date; says what is wanted.
    """
    pieces = re.findall(r"%.?|[^%]+", text, re.DOTALL)
    letters = [piece[1:] for piece in pieces if piece.startswith("%") and piece != "%%"]
    found = frozenset(letters)
    known = ", ".join(f"%{letter}" for letter in DIRECTIVES if not (is_date and letter in _OF_A_TIME))
    wrong = ""
    if unknown := [letter for letter in letters if f"%{letter}" not in known.split(", ")]:
        wrong = f"has %{unknown[0]}, wanted some of {known}"
    elif len(found) < len(letters) or any(len(either & found) > 1 for either in _EITHER):
        wrong = "says one thing twice, wanted each part once"
    elif not (found & {"Y", "y"} and found & {"m", "b", "B"} and "d" in found):
        wrong = "says no whole date, wanted a year, a month and a day, as %d.%m.%Y"
    elif text != text.strip(" \t"):
        wrong = "begins or ends with a space, and those around a value are trimmed; take it out"
    elif ("I" in found) != ("p" in found):
        wrong = "has one of %I and %p, wanted both or %H"
    elif any(
        x in found and not found & y for x, y in (("M", {"H", "I"}), ("S", {"M"}), ("f", {"S"}), ("z", {"H", "I"}))
    ):
        wrong = "leaves out a part between two others, wanted hours, minutes, seconds and their fraction in a row"
    if wrong:
        msg = f"format {text!r} {wrong}"
        raise ValueError(msg)
    return TimeFormat("".join(_pattern(pieces, at) for at in range(len(pieces))), found)


def _pattern(pieces: list[str], at: int) -> str:
    piece = pieces[at]
    if not piece.startswith("%") or piece == "%%":
        return re.escape(piece.replace("%%", "%"))
    taken = DIRECTIVES[piece[1:]]
    beside = [*pieces[max(at - 1, 0) : at], *pieces[at + 1 : at + 2]]
    if taken == _NUMBER and any(other.startswith("%") and other[1:] not in {"%", *_WORDS} for other in beside):
        taken = "[0-9]{2}"  # else 20241112 and 2024111 could be cut anywhere
    return f"(?P<{piece[1:]}>{taken})"
