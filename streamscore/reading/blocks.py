"""Landed files in, blocks of whole records out; a file that cannot be read as this feed is one reject."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from schemas.feed import Feed
from schemas.reasons import Reason
from streamscore.landing.manifest import LandedFile, source_file
from streamscore.reading.header import Header, assert_text, find_header, map_header
from streamscore.reading.landed import LandedText, Open, is_packed, is_utf8
from streamscore.reading.options import ReadOptions
from streamscore.reading.records import MAX_RECORD, count_lines, cut, find_line_ends, find_records, is_plain
from streamscore.reading.rejects import BadFileError, FileReject, FileRejectedError, Reject
from streamscore.reading.rows import Block, SourceFile, SplitText
from streamscore.reading.split import CsvRecord, physical_lines, split_records

BLOCK_BYTES = 8 << 20  # of a large file at a time: ten times as much is no faster and takes ten times the memory
_SPLIT_BYTES = 1 << 20  # split by hand: Python's strings take twenty times as much

Part = Block | SplitText | Reject


def read_parts(files: Sequence[LandedFile], feed: Feed, options: ReadOptions) -> Iterator[Part]:
    """Every file, in order, as blocks, as records split by hand, or as one reject.

    Raises:
        FileRejectedError: a file turned out bad after parts of it were handed out.
    """
    reader = _Reader(feed, options.open_landed)
    for file in files:
        name, landed_at = source_file(file, options.landing), file.modified // 1000
        refusal = options.refused.get(file.path)
        if file.changed and not refusal:
            detail = "found other content under a path that was read before, wanted a new name for new content"
            refusal = FileReject(Reason.FILE_CHANGED, detail)
        is_begun = False
        if not refusal:
            try:
                for part in reader.read(file, name, landed_at):
                    yield part
                    is_begun = True
            except BadFileError as error:
                refusal = error.refusal
                if is_begun:
                    raise FileRejectedError(file, refusal) from error
        if refusal:
            yield Reject(
                name,
                None,
                refusal.rows,
                refusal.header,
                None,
                refusal.reason,
                refusal.column,
                refusal.detail,
                landed_at,
            )


class _Reader:
    """Reads files of one feed; remembers what header lines mean."""

    def __init__(self, feed: Feed, open_landed: Open) -> None:
        self._feed, self._open = feed, open_landed
        self._is_utf8 = is_utf8(feed.csv.encoding)
        self._headers: dict[str, Header] = {}
        self._first_lines: dict[bytes, Header] = {}

    def read(self, file: LandedFile, name: str, landed_at: int) -> Iterator[Block | SplitText]:
        """The parts of one file.

        Raises:
            BadFileError: the file is bad as a whole, which may turn out at its end.
        """
        with LandedText(file, self._feed.csv.encoding, self._open) as text:
            # a small plain file is one read; a packed one may be of any size
            size = min(file.size + 1, BLOCK_BYTES) if self._is_utf8 and not is_packed(file) else BLOCK_BYTES
            data = text.read(size)
            is_whole = len(data) < size
            header, end, line = self._header(data, is_whole)
            origin = SourceFile(name, landed_at, header, self._feed.csv)
            parts = self._parts(data[end:], is_whole, line, origin, text)
            try:
                if not header.refusal:
                    yield from parts
                    return
                rows = sum(self._count(part) for part in parts)
            except BadFileError as error:
                raise BadFileError(replace(error.refusal, header=header.text)) from error
            raise BadFileError(replace(header.refusal, rows=rows))

    def _header(self, data: bytes, is_whole: bool) -> tuple[Header, int, int]:
        """What the header means, where the data begins, and on which line."""
        end = data.find(b"\n") + 1
        if known := self._first_lines.get(data[:end]):
            return known, end, 2
        try:
            found = find_header(data, is_whole, self._feed.csv)
            header = self._headers.get(found.text) or map_header(found.text, self._feed)
        except BadFileError:
            assert_text(data)
            raise
        self._headers[found.text] = header
        if header.refusal:
            assert_text(data)
            return header, found.end, found.line
        if found.text and found.end == end and found.line == 2:  # without headers, it may be a blank line or a comment
            self._first_lines[data[:end]] = header
        return header, found.end, found.line

    def _parts(
        self, body: bytes, is_whole: bool, line: int, origin: SourceFile, text: LandedText
    ) -> Iterator[Block | SplitText]:
        """The data of one file; checked for changes before its last part is handed out."""
        while not is_whole:
            if end := cut(body, origin.dialect):
                block = Block(origin, body[:end], line, body.count(b"\n", 0, end))
                yield block
                line += count_lines(block.body)
            elif head := _split_head(body, line, origin):
                yield head.text
                end, line = head.end, head.line
            else:
                yield from self._split(body, line, origin, text)
                return
            body = body[end:]
            if len(body) < BLOCK_BYTES // 2:
                more = text.read(BLOCK_BYTES)
                is_whole = len(more) < BLOCK_BYTES
                body += more
        text.assert_unchanged()
        if body.endswith((b"\n\n", b"\n\r\n")):
            body = body.rstrip(b"\r\n")  # empty lines at the end are common, and no rows
        if body:
            body = body if body.endswith(b"\n") else body + b"\n"
            yield Block(origin, body, line, body.count(b"\n"))

    def _split(self, body: bytes, line: int, origin: SourceFile, text: LandedText) -> Iterator[SplitText]:
        """The rest of a file, split by hand: a line in it is longer than a block."""
        records: dict[int, CsvRecord] = {}
        size = 0
        for record in split_records(physical_lines(_pieces(body, text)), line, origin.header.width, origin.dialect):
            records[record.line] = record
            size += len(record.raw)
            if size > _SPLIT_BYTES:
                yield SplitText(origin, next(iter(records)), records)
                records, size = {}, 0
        text.assert_unchanged()
        if records:
            yield SplitText(origin, next(iter(records)), records)

    def _count(self, part: Block | SplitText) -> int:
        if isinstance(part, SplitText):
            return len(part.records)
        if is_plain(part.body, self._feed.csv):
            return len(find_records(part.body, self._feed.csv).starts)
        lines = physical_lines([part.body])
        return sum(1 for _ in split_records(lines, part.first_line, part.origin.header.width, self._feed.csv))


class _Head(NamedTuple):
    """The first records of a text that goes on; what follows begins at byte `end`, on physical line `line`."""

    text: SplitText
    end: int
    line: int


def _split_head(body: bytes, line: int, origin: SourceFile) -> _Head | None:
    """As many records as can be told apart whatever follows, so that a stray quote costs no more than they do.

    None where not even one can: in a line that has no end.
    """
    limit = min(_SPLIT_BYTES, len(body) - 2 * MAX_RECORD)  # a record looks no further ahead than MAX_RECORD
    if limit <= 0:
        return None
    line_ends = find_line_ends(body)
    stop = line + int(np.searchsorted(line_ends, limit))
    records: dict[int, CsvRecord] = {}
    for record in split_records(physical_lines([body]), line, origin.header.width, origin.dialect):
        if record.line > stop:
            return _Head(SplitText(origin, line, records), int(line_ends[record.line - line - 1]) + 1, record.line)
        records[record.line] = record
    return None


def _pieces(body: bytes, text: LandedText) -> Iterator[bytes]:
    yield body
    while piece := text.read(BLOCK_BYTES):
        yield piece
