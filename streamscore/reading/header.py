"""The header line: where each column of the feed stands in a file."""

import functools
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from schemas.columns import header_key
from schemas.feed import Column, Dialect, Feed
from schemas.reasons import Reason
from streamscore.reading.records import MAX_RECORD, UTF8_BOM, count_lines
from streamscore.reading.rejects import BadFileError, FileReject, shorten
from streamscore.reading.split import DELIMITERS, Scanned, first_record, split_record

BINARY_LOOK = 8192  # bytes at the start of a file whose header does not fit, in which a NUL says that it is no text

NAMED = 100  # columns, in a reject of the whole file

_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class HeaderLine:
    """The header line as it was found.

    Attributes:
        text: without its line end.
        end: the byte after it, where the data begins.
        line: the physical line on which the data begins, 1-based.
    """

    text: str
    end: int
    line: int


@dataclass(frozen=True, eq=False, slots=True)
class Header:
    """What a header line means to a feed.

    Attributes:
        text: the line.
        width: its number of fields, which every record must have.
        fields: for each column of the feed, which field it is; None where the file has no such column.
        absent: the names of those columns.
        refusal: why files with this header are refused, if they are.
    """

    text: str
    width: int
    fields: tuple[int | None, ...]
    absent: frozenset[str]
    refusal: FileReject | None = None


def find_header(data: bytes, is_whole: bool, dialect: Dialect) -> HeaderLine:
    """The first record of a file that is not blank; `data` is its beginning, or all of it.

    Raises:
        BadFileError: there is none, or this is no text in the dialect's encoding.
    """
    first = _first_line(data, dialect)
    if is_whole and not (data[first:] if dialect.header == "none" else data[first:].strip(b" \t")):
        raise BadFileError(FileReject(Reason.UNREADABLE, "the file is empty: no header line", rows=0))
    if dialect.header == "none":
        row = _LINE_END.search(data, first, first + MAX_RECORD)
        assert_text(data, row.start() if row else len(data))
        return HeaderLine("", first, count_lines(data[:first]) + 1)
    end = _LINE_END.search(data, first, first + MAX_RECORD)
    if not end and (not is_whole or len(data) - first > MAX_RECORD):
        raise BadFileError(
            FileReject(Reason.UNREADABLE, f"found no line end in {MAX_RECORD:,} bytes, wanted a header line")
        )
    line = data[first : end.start() if end else len(data)]
    if dialect.quote.encode() in line:
        line = first_record(data[first : first + MAX_RECORD], dialect)
        end = _LINE_END.match(data, first + len(line))
    assert_text(data, first + len(line))
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        detail = f"found a header line that is not {dialect.encoding} ({error.reason} at byte {error.start + 1})"
        raise BadFileError(FileReject(Reason.BAD_ENCODING, f"{detail}, wanted {dialect.encoding}")) from error
    stop = end.end() if end else len(data)
    return HeaderLine(text, stop, count_lines(data[: first + len(line)]) + 2)


def _first_line(data: bytes, dialect: Dialect) -> int:
    """Where the header, or the first row, begins: after a byte order mark, the lines to skip, blank ones and comments.

    Spaces and tabs above a header are blank; where there is none, they are a row.
    """
    first = len(UTF8_BOM) if data.startswith(UTF8_BOM) else 0
    for _ in range(dialect.skip_lines):
        end = _LINE_END.search(data, first)
        first = end.end() if end else len(data)
    passed = _passed_over(dialect).match(data, first)
    return passed.end() if passed else first


@functools.cache
def _passed_over(dialect: Dialect) -> re.Pattern[bytes]:
    blank = b"" if dialect.header == "none" else rb"[ \t]*+"
    comment = b"" if dialect.comment is None else b"|" + re.escape(dialect.comment.encode()) + rb"[^\r\n]*+"
    return re.compile(rb"(?:(?:" + blank + comment + rb")(?:\r\n|\n|\r))*+")


def assert_text(data: bytes, end: int = BINARY_LOOK) -> None:
    """Raise BadFileError if a file is binary, as a NUL before the byte `end` or a UTF-16 mark says.

    Below a header that fits, a NUL costs its own line only.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        detail = "found a UTF-16 byte order mark, wanted utf-8; save the file as UTF-8 or set the feed's csv.encoding"
        raise BadFileError(FileReject(Reason.BAD_ENCODING, detail))
    at = data.find(b"\0", 0, end)
    if at >= 0:
        detail = f"found a NUL at byte {at + 1}, as in a binary file or UTF-16 text, wanted CSV text"
        raise BadFileError(FileReject(Reason.UNREADABLE, detail))


def map_header(text: str, feed: Feed) -> Header:
    """Where the feed's columns are in a file with this header line; `refusal` says if they are not.

    Raises:
        BadFileError: a quote is opened in it and never closed.
    """
    columns = feed.file_columns
    if feed.csv.header == "none":
        return _header(text, feed, {column.name: at for at, column in enumerate(columns)}, len(columns))
    found = split_record(text, feed.csv)
    if found is None:
        detail = f"found a quote that is never closed in the header line {shorten(text)}, wanted column names"
        raise BadFileError(FileReject(Reason.UNREADABLE, detail, header=text))
    names = [name.strip() for name in found.fields]
    keys = [header_key(name, feed.csv.header) for name in names]
    wanted = {header_key(column.name, feed.csv.header): column for column in columns}
    places = {wanted[key].name: at for at, key in reversed(list(enumerate(keys))) if key in wanted}
    refusal = _stray(found, wanted, feed.csv) or _refusal(text, names, wanted, feed.csv)
    return _header(text, feed, places, len(names), refusal)


def _header(text: str, feed: Feed, places: Mapping[str, int], width: int, refusal: FileReject | None = None) -> Header:
    fields = tuple(places.get(column.name) for column in feed.columns)
    absent = frozenset(column.name for column in feed.file_columns if column.name not in places)
    return Header(text, width, fields, absent, refusal and replace(refusal, header=text))


def _stray(found: Scanned, wanted: dict[str, Column], dialect: Dialect) -> FileReject | None:
    if not found.stray.strip(" \t"):
        return None
    text = found.raw.decode()
    hint = _other_delimiter(text, wanted, dialect)
    detail = (
        f"found {shorten(found.stray)} after a closing quote in the header line {shorten(text)}, wanted a delimiter"
    )
    return FileReject(Reason.UNREADABLE, detail + hint)


def _refusal(text: str, names: list[str], wanted: dict[str, Column], dialect: Dialect) -> FileReject | None:
    """Missing before duplicate before extra columns; the first is to blame."""
    found, keys = f"found {_quoted(names)}", [header_key(name, dialect.header) for name in names]
    times = Counter(keys)
    may_lack = {
        c.name for c in wanted.values() if c.role == "target" or (c.nullable and dialect.missing_columns == "null")
    }
    missing = [c.name for key, c in wanted.items() if key not in times and c.name not in may_lack]
    if not missing and not wanted.keys() & times.keys():  # all may be missing, but this is another file
        missing = [c.name for c in wanted.values() if c.role != "target"]
    if missing:
        hint = _hint(names, missing) or _other_delimiter(text, wanted, dialect)
        return FileReject(Reason.MISSING_COLUMN, f"{found}; missing: {_quoted(missing)}{hint}", missing[0])
    twice = [column.name for key, column in wanted.items() if times[key] > 1]
    if twice:
        return FileReject(Reason.DUPLICATE_COLUMN, f"{found}; wanted only once: {_quoted(twice)}", twice[0])
    extra = [name for name, key in zip(names, keys, strict=True) if key not in wanted]
    if extra and dialect.extra_columns == "refuse":
        detail = f"{found}; not in the feed: {_quoted(extra)} (csv.extra_columns: ignore would let them pass)"
        return FileReject(Reason.EXTRA_COLUMN, detail, extra[0])
    return None


def _hint(names: list[str], missing: list[str]) -> str:
    folded = {name.casefold() for name in names}
    near = [name for name in missing if name.casefold() in folded]
    return f" (csv.header: ignore_case would find {_quoted(near)})" if near else ""


def _other_delimiter(text: str, wanted: dict[str, Column], dialect: Dialect) -> str:
    """What the header would have with another delimiter, if that is more: one of the usual, or any that is in it."""

    def known(delimiter: str) -> int:
        names = [header_key(name.strip(f" \t{dialect.quote}"), dialect.header) for name in text.split(delimiter)]
        return len(wanted.keys() & set(names))

    odd = sorted({mark for mark in text if not mark.isalnum() and mark not in dialect.quote + "\r\n\0\ufeff"})
    best = max((*DELIMITERS, *odd), key=known)
    if known(best) <= known(dialect.delimiter):
        return ""
    return f" (csv.delimiter: {json.dumps(best)} would find {known(best)} of {len(wanted)})"


def _quoted(names: list[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(shorten(name) if len(name) > NAMED else f"'{name}'" for name in names[:NAMED]) + more
