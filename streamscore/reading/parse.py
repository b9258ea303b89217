"""Blocks of CSV text in, columns out: by Arrow's reader, many blocks at once; by hand where it cannot be trusted.

Values that Arrow cannot convert come out as text, for `convert`; which line each row stands on always comes along.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from schemas.feed import Feed
from streamscore.reading.convert import is_read_by_arrow, may_be_hex
from streamscore.reading.escapes import as_doubled, count_quotes
from streamscore.reading.header import Header
from streamscore.reading.records import find_records, has_lone_cr, is_plain
from streamscore.reading.rejects import Reject
from streamscore.reading.rows import Block, SplitText, Text
from streamscore.reading.split import CsvRecord, physical_lines, split_records, wrong_width

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Parsed:
    """Records of some texts with one header, column by column.

    Attributes:
        columns: the header's columns of the feed, in the feed's order; typed, or text still; None where it has none.
        texts: what they were read from.
        text_of: for each row, which of the texts.
        lines: for each row, its physical line in its file.
        rejects: the records that are no rows.
    """

    columns: Sequence[pa.ChunkedArray | pa.Array | None]
    texts: Sequence[Text]
    text_of: Integers
    lines: Integers
    rejects: Sequence[Reject]


class Parser:
    """Parses blocks for one feed; `text_columns` are those that are wanted as text too, by original name."""

    def __init__(self, feed: Feed, text_columns: frozenset[str]) -> None:
        self._feed = feed
        self._is_typed = [is_read_by_arrow(c, feed.csv) and c.name not in text_columns for c in feed.columns]
        self._has_integers = any(c.type in ("int", "long") for c in feed.columns)
        self._convert: dict[Header, pa_csv.ConvertOptions] = {}

    def parse(self, blocks: Sequence[Block]) -> Iterator[Parsed]:
        """Every record of blocks that share a header, as a row or as a reject."""
        body = blocks[0].body if len(blocks) == 1 else b"".join([b.body for b in blocks])
        if len(blocks) > 1 and not self._is_plain(body, blocks):
            are_plain = [is_plain(b.body, self._feed.csv) for b in blocks]
            yield self.parse_by_hand([b for b, plain in zip(blocks, are_plain, strict=True) if not plain])
            blocks = [b for b, plain in zip(blocks, are_plain, strict=True) if plain]
            body = b"".join([b.body for b in blocks])
        elif len(blocks) == 1 and not is_plain(body, self._feed.csv):
            yield self.parse_by_hand(blocks)
            return
        if blocks:
            yield self._parse_typed(body, blocks) or self._parse_as_text(body, blocks) or self.parse_by_hand(blocks)

    def _is_plain(self, body: bytes, blocks: Sequence[Block]) -> bool:
        """Whether the blocks are plain, joined and so each alone: none begins or ends inside quotes."""
        dialect = self._feed.csv
        if dialect.quote.encode() in body and any(count_quotes(b.body, dialect) % 2 for b in blocks):
            return False
        return is_plain(body, dialect)

    def _parse_typed(self, body: bytes, blocks: Sequence[Block]) -> Parsed | None:
        """All records as rows with numbers; None if one of them is not."""
        header = blocks[0].origin.header
        if self._has_integers and may_be_hex(body):
            return None
        if header not in self._convert:
            self._convert[header] = self._convert_options(header, self._is_typed)
        try:
            table = self._read(body, header, self._convert[header], None)
        except pa.ArrowInvalid:
            return None
        return self._located(table, body, blocks, {})

    def _parse_as_text(self, body: bytes, blocks: Sequence[Block]) -> Parsed | None:
        """All records of the right width as text, the others as rejects."""
        header = blocks[0].origin.header
        widths: dict[int, int] = {}

        def skip(row: pa_csv.InvalidRow) -> str:
            widths[row.number - 1] = row.actual_columns
            return "skip"

        options = self._convert_options(header, [False] * len(self._feed.columns))
        try:
            table = self._read(body, header, options, skip)
        except pa.ArrowInvalid:
            return None
        return self._located(table, body, blocks, widths)

    def _read(self, body: bytes, header: Header, options: pa_csv.ConvertOptions, skip: object) -> pa.Table:
        quote = self._feed.csv.quote
        return pa_csv.read_csv(
            pa.BufferReader(as_doubled(body, self._feed.csv)),
            read_options=pa_csv.ReadOptions(
                use_threads=False,
                column_names=[str(i) for i in range(header.width)],
                block_size=len(body) + 1,  # one block: rows keep their numbers
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=self._feed.csv.delimiter,
                quote_char=quote,
                newlines_in_values=quote.encode() in body,
                invalid_row_handler=skip,
            ),
            convert_options=options,
        )

    def _convert_options(self, header: Header, is_typed: Sequence[bool]) -> pa_csv.ConvertOptions:
        types = {
            str(at): column.arrow_type if typed else pa.string()
            for at, column, typed in zip(header.fields, self._feed.columns, is_typed, strict=True)
            if at is not None
        }
        return pa_csv.ConvertOptions(
            check_utf8=False,  # is_plain has
            column_types=types,
            include_columns=list(types),
            null_values=list(self._feed.csv.null_values),
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,  # as in pandas; the slow path cannot tell them apart either
        )

    def _located(self, table: pa.Table, body: bytes, blocks: Sequence[Block], widths: dict[int, int]) -> Parsed | None:
        """The rows with their lines, and the records of another width as rejects; None if they do not add up."""
        text_of, lines = _places(body, blocks, table.num_rows + len(widths))
        if len(lines) != table.num_rows + len(widths):
            return None
        rejects = []
        for at, width in widths.items():
            block, line = blocks[text_of[at]], int(lines[at])
            raw = block.raw(line)
            reason, detail = wrong_width(width, block.origin.header.width, raw, self._feed.csv)
            rejects.append(block.origin.reject(line, raw, reason, None, detail))
        if widths:
            bad = list(widths)
            text_of, lines = np.delete(text_of, bad), np.delete(lines, bad)
        columns = [None if at is None else table.column(str(at)) for at in blocks[0].origin.header.fields]
        return Parsed(columns, blocks, text_of, lines, rejects)

    def parse_by_hand(self, blocks: Sequence[Block]) -> Parsed:
        """The same for text that Arrow's reader might take for something else."""
        texts = []
        for block in blocks:
            lines = physical_lines([block.body])
            records = split_records(lines, block.first_line, block.origin.header.width, self._feed.csv)
            texts.append(SplitText(block.origin, block.first_line, {r.line: r for r in records}))
        return self.from_records(texts)

    def from_records(self, texts: Sequence[SplitText]) -> Parsed:
        """Records that were split by hand, under one header, as columns of text and rejects."""
        records: list[CsvRecord] = []
        text_of: list[int] = []
        rejects: list[Reject] = []
        for number, text in enumerate(texts):
            good = [r for r in text.records.values() if not r.reason]
            records += good
            text_of += [number] * len(good)
            rejects += [
                text.origin.reject(r.line, r.raw, r.reason, None, r.detail) for r in text.records.values() if r.reason
            ]
        nulls = pa.array(self._feed.csv.null_values, pa.string())
        fields = texts[0].origin.header.fields if texts else [None] * len(self._feed.columns)
        columns = [_text_column(records, at, nulls) for at in fields]
        lines = np.array([r.line for r in records], np.int64)
        return Parsed(columns, texts, np.array(text_of, np.int64), lines, rejects)


def _text_column(records: Iterable[CsvRecord], at: int | None, nulls: pa.Array) -> pa.Array | None:
    if at is None:
        return None
    text = pa.array([r.fields[at] for r in records], pa.string())
    return pc.if_else(pc.is_in(text, value_set=nulls), None, text)


def _places(body: bytes, blocks: Sequence[Block], records: int) -> tuple[Integers, Integers]:
    """For each record of the joined blocks, which block it is in and which line of its file it begins on."""
    first_lines = np.array([b.first_line for b in blocks], np.int64)
    feeds = np.array([b.line_feeds for b in blocks], np.int64)
    if records == feeds.sum() and not has_lone_cr(body):  # as many records as lines: each has its own
        block_of = np.repeat(np.arange(len(blocks)), feeds)
        return block_of, np.arange(records) + np.repeat(first_lines - (np.cumsum(feeds) - feeds), feeds)
    found = find_records(body, blocks[0].origin.dialect)
    sizes = np.array([len(b.body) for b in blocks], np.int64)
    begins = np.cumsum(sizes) - sizes
    block_of = np.searchsorted(begins, found.starts, side="right") - 1
    lines_before = np.searchsorted(found.line_ends, begins)
    return block_of, found.lines + (first_lines - lines_before)[block_of]
