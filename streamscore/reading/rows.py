"""Rows on their way to the model, and the way back to the text that each was read from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import pyarrow as pa

from schemas.feed import Dialect
from schemas.reasons import Reason
from streamscore.reading.header import Header
from streamscore.reading.landed import is_utf8, with_original_bytes
from streamscore.reading.records import Records, find_records
from streamscore.reading.rejects import NO_REJECTS, Reject, rejects_table
from streamscore.reading.split import CsvRecord


@dataclass(frozen=True, eq=False, slots=True)
class SourceFile:
    """The file that rows come from.

    Attributes:
        name: `source_file` in the tables.
        landed_at: the file's own time, microseconds since 1970.
        header: its header line.
        dialect: how its text is written.
    """

    name: str
    landed_at: int
    header: Header
    dialect: Dialect

    def reject(self, line: int, raw: bytes, reason: Reason, column: str | None, detail: str) -> Reject:
        r"""One row of this file as a reject; bytes of its text that could not be decoded as `\xe9`."""
        if not is_utf8(self.dialect.encoding):
            raw = with_original_bytes(raw)
        text = raw.decode("utf-8", "backslashreplace")
        return Reject(self.name, line, 1, self.header.text, text, reason, column, detail, self.landed_at)


class Text(Protocol):
    """A part of a file: whole records, kept for as long as their rows may be refused."""

    @property
    def origin(self) -> SourceFile: ...

    @property
    def first_line(self) -> int: ...

    def raw(self, line: int) -> bytes:
        """The record that begins on that physical line, without its last line end."""


@dataclass(eq=False, slots=True)
class Block:
    """Records of one file as text that is not yet split; `body` ends with a line feed."""

    origin: SourceFile
    body: bytes
    first_line: int
    line_feeds: int
    _records: Records | None = field(default=None, repr=False)

    def raw(self, line: int) -> bytes:
        records = self.records
        at = int(np.searchsorted(records.lines, line - self.first_line))
        return self.body[records.starts[at] : records.stops[at]]

    @property
    def records(self) -> Records:
        """Where its records are; only for text that `is_plain`."""
        if self._records is None:
            self._records = find_records(self.body, self.origin.dialect)
        return self._records


@dataclass(frozen=True, eq=False, slots=True)
class SplitText:
    """Records of one file that were split by hand, by their first lines."""

    origin: SourceFile
    first_line: int
    records: Mapping[int, CsvRecord]

    def raw(self, line: int) -> bytes:
        return self.records[line].raw


@dataclass(frozen=True)
class Rows:
    """Rows of a feed, from one file or many.

    Attributes:
        table: the feed's columns (`Feed.arrow_schema`); `text:<original name>`, the text as it stood in the file, for
            every column that a model wants as text; `source_file`, `source_line`, `landed_at`.
        texts: what the rows were read from, by `source_file`.
        truncated: how many times lost digits of a second (`csv.fractions`); the first of several chunks says all.
    """

    table: pa.Table
    texts: Mapping[str, Sequence[Text]]
    truncated: int = 0

    def with_table(self, table: pa.Table) -> "Rows":
        """Other rows out of the same files."""
        return replace(self, table=table)

    def reject(
        self, indices: Sequence[int], reason: Reason, column: str | Sequence[str] | None, detail: str | Sequence[str]
    ) -> pa.Table:
        """These rows as REJECTS_SCHEMA, each with its header and its text; column and detail for all, or one a row."""
        if not len(indices):
            return NO_REJECTS
        place = self.table.select(["source_file", "source_line"]).take(pa.array(indices, pa.int64()))
        columns = [column] * len(indices) if column is None or isinstance(column, str) else column
        details = [detail] * len(indices) if isinstance(detail, str) else detail
        rejects = []
        for name, line, one, why in zip(*place.to_pydict().values(), columns, details, strict=True):
            text = self._text(name, line)
            rejects.append(text.origin.reject(line, text.raw(line), reason, one, why))
        return rejects_table(rejects)

    def _text(self, name: str, line: int) -> Text:
        return max((t for t in self.texts[name] if t.first_line <= line), key=lambda t: t.first_line)
