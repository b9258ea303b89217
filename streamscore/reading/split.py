"""Split CSV text into records by hand, line by line: the slow path, for text that `records.is_plain` does not hold for.

Quotes mean what they mean to Arrow's reader: a field that begins with one goes on, over line ends too, up to the next
that is neither doubled nor escaped; anywhere else a quote is a character like any other. One that never ends costs only
its own line. Text between such a field's end and the next delimiter refuses the record: no two readers agree on it.
"""

import csv
import functools
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from schemas.feed import Dialect
from schemas.reasons import Reason
from streamscore.reading.records import MAX_RECORD
from streamscore.reading.rejects import shorten

DELIMITERS = (",", ";", "\t", "|")  # that a record may seem to be written with

_KEPT = 10_000  # bytes of a line that is too long to keep


@dataclass(frozen=True, slots=True)
class CsvRecord:
    """One record of a file: fields, or why there are none.

    Attributes:
        line: its first physical line.
        raw: its bytes, without the last line end.
        fields: its values, empty if there is a reason.
        reason: why it is refused.
        detail: what was found and wanted.
    """

    line: int
    raw: bytes
    fields: list[str]
    reason: Reason | None = None
    detail: str = ""


def physical_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a text with their ends; of a line above MAX_RECORD no more is kept than shows that it is."""
    rest = b""
    for piece in pieces:
        lines = (rest + piece).splitlines(keepends=True)
        # the last one may go on in the next piece, and so may a line end that begins with \r
        rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        yield from lines
        if len(rest) > 2 * MAX_RECORD and not rest.endswith(b"\r"):
            rest = rest[: 2 * MAX_RECORD]
    if rest:
        yield rest if rest.endswith(b"\r") else rest + b"\n"


def split_records(lines: Iterable[bytes], first_line: int, width: int, dialect: Dialect) -> Iterator[CsvRecord]:
    """Every record of the lines; one that has not `width` fields, or is no text, comes with the reason."""
    quote, comment = dialect.quote.encode(), (dialect.comment or "").encode()
    source = _Lines(lines, first_line)
    while (line := source.take()) is not None:
        number = source.number
        text = _without_end(line)
        if not text or (comment and text.startswith(comment)):
            continue
        if len(text) > MAX_RECORD:
            detail = f"found a line of more than {MAX_RECORD:,} bytes, wanted no more; only its beginning is kept here"
            yield CsvRecord(number, text[:_KEPT], [], Reason.UNREADABLE, detail)
        elif quote not in line:
            yield _checked(CsvRecord(number, text, _text(text).split(dialect.delimiter)), width, dialect)
        else:
            yield _checked(_quoted_record(line, source, dialect), width, dialect)


class Scanned(NamedTuple):
    """A record: its bytes, its fields, and what stands after the first closing quote that no delimiter follows."""

    raw: bytes
    fields: list[str]
    stray: str


def split_record(text: str, dialect: Dialect) -> Scanned | None:
    """One record, which may have line ends in quotes; None if a quote in it is not closed."""
    if dialect.quote not in text:
        return Scanned(_bytes(text), text.split(dialect.delimiter), "")
    first, *rest = physical_lines([_bytes(text) + b"\n"])
    return _Scan(first, _Lines(rest, 0), dialect).record()


def first_record(text: bytes, dialect: Dialect) -> bytes:
    """The record that a text begins with, without its line end; its first line alone if a quote stays open."""
    first, *rest = physical_lines([text])
    found = _Scan(first, _Lines(rest, 0), dialect).record()
    return _without_end(first) if found is None else found.raw


class _Lines:
    """Lines one by one; those that were taken too early can be put back. `number` is the last one's."""

    def __init__(self, lines: Iterable[bytes], first_line: int) -> None:
        self._lines = iter(lines)
        self._back: deque[bytes] = deque()
        self.number = first_line - 1

    def take(self) -> bytes | None:
        line = self._back.popleft() if self._back else next(self._lines, None)
        self.number += line is not None
        return line

    def put_back(self, lines: list[bytes]) -> None:
        self._back.extendleft(reversed(lines))
        self.number -= len(lines)


def _quoted_record(first: bytes, source: _Lines, dialect: Dialect) -> CsvRecord:
    """The record that begins with the line `first`; takes the lines on which its quoted fields go on."""
    number = source.number
    if dialect.escape is None or dialect.escape.encode() not in first:
        if csv.field_size_limit() < MAX_RECORD:
            csv.field_size_limit(MAX_RECORD)  # a record is bounded here; Python's own bound is 128 KiB a field
        try:  # most records are of one line and by the book; for these this is several times faster
            lines = csv.reader([_text(first)], delimiter=dialect.delimiter, quotechar=dialect.quote, strict=True)
            return CsvRecord(number, _without_end(first), next(lines))
        except csv.Error:
            pass
    found = _Scan(first, source, dialect).record()
    if found is None:
        detail = f"found a quote that is opened and not closed within {MAX_RECORD:,} bytes, wanted its end"
        return CsvRecord(number, _without_end(first), [], Reason.UNREADABLE, detail)
    if found.stray:
        hint = "" if dialect.escape else f"; where these files write \\{dialect.quote} inside quotes, set csv.escape"
        detail = f"found {shorten(found.stray)} after a closing quote, wanted a delimiter or a line end{hint}"
        return CsvRecord(number, found.raw, [], Reason.UNREADABLE, detail)
    return CsvRecord(number, found.raw, found.fields)


class _Scan:
    """A record on its way out of the lines, beginning with the line `first`."""

    def __init__(self, first: bytes, source: _Lines, dialect: Dialect) -> None:
        self._source, self._dialect, self._patterns = source, dialect, _patterns(dialect)
        self._taken, self._size = [first], len(first)
        self._text, self._at = _text(first), 0

    def record(self) -> Scanned | None:
        """The record; None, and no line more is taken, if a quote in it is opened and not closed."""
        fields, stray = [], ""
        while True:
            value = self._quoted() if (is_quoted := self._text.startswith(self._dialect.quote, self._at)) else ""
            if value is None:
                self._source.put_back(self._taken[1:])
                return None
            rest = self._take(self._patterns.bare)
            stray = stray or (rest if is_quoted else "")
            fields.append(value + rest)
            if not self._text.startswith(self._dialect.delimiter, self._at):
                return Scanned(_without_end(b"".join(self._taken)), fields, stray)
            self._at += 1

    def _quoted(self) -> str | None:
        """The text between two quotes, over lines too; None if the second one is not there."""
        self._at += 1
        pieces = [self._take(self._patterns.inside)]
        while self._at == len(self._text):
            line = self._source.take()
            if line is None:
                return None
            self._taken.append(line)
            if self._size + len(_without_end(line)) > MAX_RECORD:
                return None
            self._size += len(line)
            self._text, self._at = _text(line), 0
            pieces.append(self._take(self._patterns.inside))
        self._at += 1
        return self._patterns.marks.sub(r"\1\2", "".join(pieces))

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        taken = found[0] if found else ""
        self._at += len(taken)
        return taken


class _Patterns(NamedTuple):
    """What a dialect's fields are made of.

    Attributes:
        inside: text between quotes, up to the closing one or the line's end.
        bare: text outside of quotes, up to a delimiter or a line end.
        marks: a doubled quote, or an escape and what it makes text; what they stand for is group 1 or 2.
    """

    inside: re.Pattern[str]
    bare: re.Pattern[str]
    marks: re.Pattern[str]


@functools.cache
def _patterns(dialect: Dialect) -> _Patterns:
    quote, delimiter = re.escape(dialect.quote), re.escape(dialect.delimiter)
    bare = re.compile(rf"[^{delimiter}\r\n]*+")
    if dialect.escape is None:
        return _Patterns(re.compile(f"(?:[^{quote}]++|{quote}{quote})*+"), bare, re.compile(f"{quote}({quote})()"))
    escape = re.escape(dialect.escape)
    inside = re.compile(f"(?:[^{quote}{escape}]++|{quote}{quote}|{escape}[{quote}{escape}]?)*+")
    return _Patterns(inside, bare, re.compile(f"{quote}({quote})|{escape}([{quote}{escape}])"))


def _checked(record: CsvRecord, width: int, dialect: Dialect) -> CsvRecord:
    if record.reason:
        return record
    if b"\0" in record.raw:
        return CsvRecord(record.line, record.raw, [], Reason.UNREADABLE, "found a NUL, wanted text")
    try:
        record.raw.decode()
    except UnicodeDecodeError as error:
        found = f"found bytes that are not {dialect.encoding} ({error.reason} at byte {error.start + 1} of the record)"
        return CsvRecord(record.line, record.raw, [], Reason.BAD_ENCODING, f"{found}, wanted {dialect.encoding}")
    if len(record.fields) != width:
        return CsvRecord(record.line, record.raw, [], *wrong_width(len(record.fields), width, record.raw, dialect))
    return record


def wrong_width(found: int, wanted: int, raw: bytes, dialect: Dialect) -> tuple[Reason, str]:
    """Why a record with that many fields is refused, and the delimiter with which it would have as many as wanted."""
    where = "feed" if dialect.header == "none" else "header"
    detail = f"found {found} field{'s' * (found != 1)}, wanted {wanted}, as in the {where}"
    if found > wanted:
        return Reason.TOO_MANY_FIELDS, detail
    for other in _other_dialects(dialect):
        record = split_record(_text(raw), other)
        if record and not record.stray and len(record.fields) == wanted:
            return Reason.TOO_FEW_FIELDS, f"{detail} (csv.delimiter: {json.dumps(other.delimiter)} would find {wanted})"
    return Reason.TOO_FEW_FIELDS, detail


@functools.cache
def _other_dialects(dialect: Dialect) -> tuple[Dialect, ...]:
    taken = {dialect.delimiter, dialect.quote, dialect.escape, dialect.comment}
    return tuple(dialect.model_copy(update={"delimiter": other}) for other in DELIMITERS if other not in taken)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _without_end(line: bytes) -> bytes:
    if line.endswith(b"\n"):
        line = line[:-1]
    return line.removesuffix(b"\r")
