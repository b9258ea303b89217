"""A file before it is written: what each row holds, and what docs/feeds.md promises for it.

Nothing here, nor in the pollutions, uses the stream's code: the right outcome follows from how the file was made.
"""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.pollute.kinds import Kind

Value = str | int | float | bool | date | datetime | None
Shape = Callable[[list[str], Kind], str]

_LINE_END = re.compile("\r\n|\n|\r")


@dataclass(slots=True)
class Cell:
    """One cell.

    Attributes:
        text: what the file says, without quotes.
        value: what the tables must say.
        reason: why its row must be refused; empty if it must not.
        is_quoted: written in quotes though it needs none.
        raw: written instead, quotes and all.
    """

    text: str
    value: Value
    reason: str = ""
    is_quoted: bool = False
    raw: str | None = None


@dataclass(slots=True)
class Record:
    """One record of a file, or a line that is none.

    Attributes:
        cells: in the feed's order.
        truth: the values before any pollution.
        reasons: of its structure, one of which must refuse it; empty if its cells decide.
        shape: makes the line out of its fields, in the file's order; none: the delimiter joins them.
        end: its line end, where it has one of its own.
        is_row: False for a comment or an empty line.
        is_polluted: it is taken, and no other pollution may touch it.
        opens_a_quote: with no end to it, so that records after it may be part of its reject.
        has_nul: where the header does not fit, that makes the file a binary one.
        line: its first physical line, 1-based; known once the file is written.
    """

    cells: list[Cell]
    truth: tuple[Value, ...] = ()
    reasons: frozenset[str] = frozenset()
    shape: Shape | None = None
    end: str | None = None
    is_row: bool = True
    is_polluted: bool = False
    opens_a_quote: bool = False
    has_nul: bool = False
    line: int = 0

    def refusals(self) -> frozenset[str]:
        """The reasons one of which it must have; empty: it must be read."""
        if self.reasons:
            return self.reasons
        found = [cell.reason for cell in self.cells if cell.reason]  # types come before what the values may be
        first = "bad_type" if "bad_type" in found else (found or [""])[0]
        return frozenset(filter(None, first.split(" or ")))


@dataclass(slots=True)
class Draft:
    """A file in the making.

    Attributes:
        header: the names as the file has them, in the feed's order.
        order: which of the feed's columns the file has, and where; columns beyond the feed's are in `more`.
        more: (name, text in each row) of columns that the feed does not name.
        above: lines before the header.
        tail: text after the last record.
        refused: the reasons one of which must refuse the whole file; empty: its rows decide.
        is_counted: whether the rows of a refused file can be counted.
        claimed: the parts that a pollution has taken for itself.
        pack: what becomes of the bytes.
        placed: how the file comes into the folder: "written", or a way that a pollution names.
        is_taken: False if the stream must pass it over.
    """

    kind: Kind
    records: list[Record]
    header: list[str]
    order: list[int]
    more: list[tuple[str, str]] = field(default_factory=list)
    above: list[str] = field(default_factory=list)
    end: str = "\n"
    tail: str = ""
    encoding: str = ""
    name: str = ""
    folder: str = ""
    ending: str = ""
    modified: float | None = None
    refused: frozenset[str] = frozenset()
    is_counted: bool = True
    claimed: set[str] = field(default_factory=set)
    pack: Callable[[bytes], bytes] | None = None
    placed: str = "written"
    is_taken: bool = True
    pollutions: list[str] = field(default_factory=list)

    def claim(self, *parts: str) -> bool:
        """Whether nobody else has these parts; they are taken then."""
        if self.claimed & set(parts):
            return False
        self.claimed.update(parts)
        return True

    def pick(self, random: Random) -> Record | None:
        """A record that no pollution has touched, which is taken then."""
        free = [record for record in self.records if record.is_row and not record.is_polluted]
        if not free:
            return None
        chosen = random.choice(free)
        chosen.is_polluted = True
        return chosen

    def refuse(self, *reasons: str, rows: bool = True) -> None:
        """The whole file must be refused for one of these reasons; `rows` says whether its rows can be counted."""
        self.is_counted = self.is_counted and rows and not self.refused
        self.refused |= frozenset(reasons)


@dataclass(frozen=True, slots=True)
class Row:
    """What must become of one record.

    Attributes:
        reasons: one of which it must be refused for; empty: it must be in the table with these values.
        truth: its values before any pollution.
    """

    line: int
    values: tuple[Value, ...]
    truth: tuple[Value, ...]
    reasons: frozenset[str]
    may_be_swallowed: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What must become of one file.

    Attributes:
        source_file: its name below the landing folder.
        is_taken: False if the stream must pass it over.
        refused: one of these must refuse it as a whole.
        counted: the rows that quarantine must say for a refused file; None: any number or none.
        path: where it lies.
    """

    kind: Kind
    source_file: str
    is_taken: bool
    refused: frozenset[str]
    counted: int | None
    rows: tuple[Row, ...]
    pollutions: tuple[str, ...]
    path: Path
    placed: str = "written"


Pollution = Callable[[Draft, Random], bool]  # False where it cannot be done


def registered(into: list[Pollution], level: str, claims: Collection[str], function: Pollution) -> Pollution:
    """A pollution in the list of its level, of parts of a file that no other one has claimed."""

    def pollute(draft: Draft, random: Random) -> bool:
        if draft.claimed & set(claims) or not function(draft, random):
            return False
        draft.claim(*claims)
        draft.pollutions.append(f"{level}: {pollution_name(function)}")
        return True

    into.append(pollute)
    return pollute


def pollution_name(function: Callable[..., Any]) -> str:
    """`swapped_columns` → `swapped columns`."""
    return function.__name__.replace("_", " ")


def write_text(draft: Draft) -> str:
    """The file's text; each record knows its physical line afterwards."""
    kind = draft.kind
    pieces: list[str] = []
    lines = 1

    def add(text: str) -> None:
        nonlocal lines
        is_half = bool(pieces) and pieces[-1].endswith("\r") and text.startswith("\n")
        lines += len(_LINE_END.findall(text)) - is_half
        pieces.append(text)

    for line in draft.above:
        add(line + draft.end)
    if kind.has_header:
        names = [draft.header[at] for at in draft.order] + [name for name, _ in draft.more]
        add(kind.delimiter.join(written(Cell(name, name), kind) for name in names) + draft.end)
    for record in draft.records:
        record.line = lines
        fields = [written(record.cells[at], kind) for at in draft.order if record.cells]
        fields += [text for _, text in draft.more if record.cells]
        line = record.shape(fields, kind) if record.shape else kind.delimiter.join(fields)
        add(line + (record.end or draft.end))
    text = "".join([*pieces, draft.tail])
    if "no last line end" in draft.claimed:
        text = re.sub("(?:\r\n|\n|\r)\\Z", "", text)
    return text


def written(cell: Cell, kind: Kind) -> str:
    """A cell's field: in quotes where it needs them, as RFC 4180 has it, or as Spark writes it with an escape."""
    if cell.raw is not None:
        return cell.raw
    text, quote = cell.text, kind.quote
    special = {kind.delimiter, quote, "\n", "\r", kind.escape or quote}
    begins = bool(kind.comment) and text.startswith(kind.comment or "")
    if not (cell.is_quoted or begins or special & set(text)):
        return text
    if kind.escape:
        text = text.replace(kind.escape, kind.escape * 2).replace(quote, kind.escape + quote)
    else:
        text = text.replace(quote, quote * 2)
    return f"{quote}{text}{quote}"


def rows_of(draft: Draft) -> Iterable[Row]:
    """What must become of each record, once the text is written."""
    is_inside = False
    for record in draft.records:
        if record.is_row:
            values = tuple(cell.value for cell in record.cells)
            yield Row(record.line, values, record.truth, record.refusals(), is_inside)
        is_inside = is_inside or record.opens_a_quote
