"""How the CSV text of a feed is written."""

import codecs
import itertools
import re
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

# Python's own ways to write text as other text; no file is encoded so
ENDINGS = (".csv", ".csv.gz")
PACKED = (".gz", ".bz2", ".zst")
TRUE, FALSE = ("true", "1"), ("false", "0")

_NO_FILES = ("idna", "punycode", "unicode-escape", "raw-unicode-escape")


class Dialect(BaseModel):
    """How the CSV text is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endings: tuple[str, ...] = Field(ENDINGS, min_length=1)
    delimiter: str = ","
    quote: str = '"'
    escape: str | None = None
    encoding: str = "utf-8"
    null_values: tuple[str, ...] = ("",)
    decimal: Literal[".", ","] = "."
    thousands: str | None = None
    integers: Literal["digits", "whole"] = "digits"
    true_values: tuple[str, ...] = TRUE
    false_values: tuple[str, ...] = FALSE
    fractions: Literal["refuse", "truncate"] = "refuse"
    header: Literal["exact", "ignore_case", "none"] = "exact"
    skip_lines: int = Field(0, ge=0, le=1000, strict=True)
    comment: str | None = None
    extra_columns: Literal["refuse", "ignore"] = "refuse"
    missing_columns: Literal["refuse", "null"] = "refuse"

    @property
    def plain_ending(self) -> str:
        """The ending of files that we make."""
        return next(ending for ending in self.endings if not ending.endswith(PACKED))

    def ending_of(self, name: str) -> str:
        """The ending of a file's name, the longest that there is; empty if none is."""
        return max((ending for ending in self.endings if name.lower().endswith(ending)), key=len, default="")

    @property
    def has_plain_booleans(self) -> bool:
        """Whether booleans are written as they are without a word of the feed."""
        return (self.true_values, self.false_values) == (TRUE, FALSE)

    @field_validator("endings")
    @classmethod
    def _are_endings(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not re.fullmatch(r"(\.[^./*?\s]+)+", value) or value != value.lower():
                msg = f"found {value!r}, wanted the end of a name in lower case, as .tsv or .csv.zst"
                raise ValueError(msg)
        if all(value.endswith(PACKED) for value in values):
            msg = f"found {', '.join(values)}, wanted one that is not packed too, for files of replay and sample"
            raise ValueError(msg)
        return values

    @field_validator("delimiter", "quote", "escape", "thousands", "comment")
    @classmethod
    def _is_one_character(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if len(value) != 1:
            known = {"\\t": "\\t", "\\\\": "\\\\", "\\x01": "\\x01"}.get(value)
            hint = f'; YAML reads \\ only in double quotes: "{known}"' if known else ""
            msg = f"found {value!r}, wanted one character{hint}"
            raise ValueError(msg)
        if value in "\n\r\0\ufeff" or value.isalnum():
            msg = f"found {value!r}, wanted a character that is no line end, no letter and no digit"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _values_can_be_told(self) -> Self:
        if self.thousands is not None and self.thousands in ("+", "-", self.decimal):
            msg = f"thousands is {self.thousands!r} beside decimal {self.decimal!r}, wanted another one; change one"
            raise ValueError(msg)
        words = [{word.lower() for word in said} for said in (self.true_values, self.false_values)]
        if both := words[0] & words[1]:
            msg = f"{min(both)!r} is in true_values and in false_values; take it out of one"
            raise ValueError(msg)
        never = (words[0] | words[1]) & {value.lower() for value in self.null_values}
        if never and not self.has_plain_booleans:  # else 0 may be null in a feed without booleans
            msg = f"{min(never)!r} is in null_values, which comes first, and in true_values or false_values; leave one"
            raise ValueError(msg)
        for said in words:
            if not said or any(not word or word != word.strip(" \t") for word in said):
                msg = "true_values and false_values want words without spaces around them, one at least in each"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        for one, other in itertools.combinations(("delimiter", "quote", "escape", "comment"), 2):
            if getattr(self, one) is not None and getattr(self, one) == getattr(self, other):
                fix = (
                    "doubled quotes need no csv.escape, take it out"
                    if (one, other) == ("quote", "escape")
                    else "change one"
                )
                msg = f"{one} and {other} are both {getattr(self, one)!r}; {fix}"
                raise ValueError(msg)
        for name in ("quote", "escape", "comment"):
            if (getattr(self, name) or "x").isspace():
                msg = f"{name} is {getattr(self, name)!r}, wanted a character that is no space"
                raise ValueError(msg)
        if not can_read(f"a{self.delimiter}{self.quote}{self.escape or ''}{self.comment or ''}\r\n1", self.encoding):
            msg = (
                f"found encoding {self.encoding!r}, wanted one of text that Python knows and that has the delimiter, "
                f"the quote and the line end, as utf-8 or cp1252"
            )
            raise ValueError(msg)
        return self


def can_read(text: str, encoding: str) -> bool:
    """Whether a file of that encoding can hold a text: it comes back when it is decoded byte by byte."""
    try:
        if codecs.lookup(encoding).name in _NO_FILES:
            return False
        decoder = codecs.getincrementaldecoder(encoding)()
        pieces: list[Any] = [decoder.decode(bytes([byte])) for byte in text.encode(encoding)]
        return "".join(pieces) + decoder.decode(b"", True) == text
    except (LookupError, ValueError, TypeError):  # LookupError: unknown, or no encoding of text
        return False
