"""Split CSV text into records by hand, line by line: the slow path, for text that `records.is_plain` does not hold for.

Quotes mean what they mean to Arrow's reader: a field that begins with one goes on, over line ends too, up to the next
that is not doubled; anywhere else a quote is a character like any other. One that never ends costs only its own line.
"""

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from schemas.feed import Dialect
from schemas.reasons import Reason
from streamscore.reading.records import MAX_RECORD

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
    quote = dialect.quote.encode()
    source = _Lines(lines, first_line)
    while (line := source.take()) is not None:
        number = source.number
        text = _without_end(line)
        if not text:
            continue
        if len(text) > MAX_RECORD:
            detail = f"found a line of more than {MAX_RECORD:,} bytes, wanted no more; only its beginning is kept here"
            yield CsvRecord(number, text[:_KEPT], [], Reason.UNREADABLE, detail)
        elif quote not in line:
            yield _checked(CsvRecord(number, text, _text(text).split(dialect.delimiter)), width, dialect)
        else:
            yield _checked(_quoted_record(line, source, dialect), width, dialect)


def split_record(text: str, dialect: Dialect) -> list[str] | None:
    """The fields of one line; None if a quote in it is opened and not closed."""
    if dialect.quote not in text:
        return text.split(dialect.delimiter)
    return _quoted_record(text.encode() + b"\n", _Lines([], 0), dialect).fields or None


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
    if csv.field_size_limit() < MAX_RECORD:
        csv.field_size_limit(MAX_RECORD)  # a record is bounded here; Python's own bound is 128 KiB a field
    fields = next(csv.reader([_text(first)], delimiter=dialect.delimiter, quotechar=dialect.quote))
    if not fields[-1].endswith(("\n", "\r")):  # a line end is part of a value only where quotes are open
        return CsvRecord(source.number, _without_end(first), fields)
    return _record_of_many_lines(first, source, dialect)


def _record_of_many_lines(first: bytes, source: _Lines, dialect: Dialect) -> CsvRecord:
    number, taken, is_open = source.number, [first], False

    def texts() -> Iterator[str]:
        nonlocal is_open
        yield _text(first)
        size = len(first)
        while (line := source.take()) is not None:  # the reader asks for more only inside quotes
            taken.append(line)
            if size + len(_without_end(line)) > MAX_RECORD:
                break
            size += len(line)
            yield _text(line)
        is_open = True

    fields = next(csv.reader(texts(), delimiter=dialect.delimiter, quotechar=dialect.quote))
    if is_open:
        source.put_back(taken[1:])
        detail = f"found a quote that is opened and not closed within {MAX_RECORD:,} bytes, wanted its end"
        return CsvRecord(number, _without_end(first), [], Reason.UNREADABLE, detail)
    return CsvRecord(number, _without_end(b"".join(taken)), fields)


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
        return CsvRecord(record.line, record.raw, [], *wrong_width(len(record.fields), width))
    return record


def wrong_width(found: int, wanted: int) -> tuple[Reason, str]:
    """Why a record with that many fields is refused."""
    reason = Reason.TOO_FEW_FIELDS if found < wanted else Reason.TOO_MANY_FIELDS
    return reason, f"found {found} field{'s' * (found != 1)}, wanted {wanted}, as in the header"


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def _without_end(line: bytes) -> bytes:
    if line.endswith(b"\n"):
        line = line[:-1]
    return line.removesuffix(b"\r")
