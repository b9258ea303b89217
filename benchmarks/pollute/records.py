"""Pollutions of one record: its fields, its quotes, its line end, its bytes; and lines that are no records."""

from collections.abc import Callable
from functools import partial
from random import Random

from benchmarks.pollute.draft import Cell, Draft, Pollution, Record, registered
from benchmarks.pollute.kinds import Kind

RECORDS: list[Pollution] = []

UNREADABLE, FEW, MANY, ENCODING = "unreadable", "too_few_fields", "too_many_fields", "bad_encoding"


def record(function: Pollution) -> Pollution:
    """Register a pollution; it returns False where it cannot be done."""
    return registered(RECORDS, "record", (), function)


def _shaped(draft: Draft, random: Random, shape: Callable[[list[str], Kind], str], *reasons: str) -> bool:
    chosen = draft.pick(random)
    if chosen is None:
        return False
    chosen.shape, chosen.reasons = shape, frozenset(reasons)
    return True


@record
def a_field_too_few(draft: Draft, random: Random) -> bool:
    return _shaped(draft, random, lambda fields, kind: kind.delimiter.join(fields[:-1]), FEW)


@record
def only_its_first_field(draft: Draft, random: Random) -> bool:
    return _shaped(draft, random, lambda fields, kind: fields[0] or "7", FEW)


@record
def a_field_too_many(draft: Draft, random: Random) -> bool:
    return _shaped(draft, random, lambda fields, kind: kind.delimiter.join([*fields, "more"]), MANY)


@record
def a_delimiter_at_its_end(draft: Draft, random: Random) -> bool:
    return _shaped(draft, random, lambda fields, kind: kind.delimiter.join([*fields, ""]), MANY)


@record
def a_delimiter_in_its_middle(draft: Draft, random: Random) -> bool:
    return _shaped(draft, random, lambda fields, kind: kind.delimiter.join([fields[0], "", *fields[1:]]), MANY)


@record
def twice_in_one_line(draft: Draft, random: Random) -> bool:
    return _shaped(draft, random, lambda fields, kind: kind.delimiter.join([*fields, *fields]), MANY)


@record
def another_delimiter(draft: Draft, random: Random) -> bool:
    def shape(fields: list[str], kind: Kind) -> str:
        one_line = [" ".join(field.splitlines()) for field in fields]
        return ("|" if kind.delimiter != "|" else "~").join(one_line)

    return _shaped(draft, random, shape, FEW, MANY, UNREADABLE, "bad_type")


def _after_the_first_quote(text: str, fields: list[str], kind: Kind) -> str:
    first = fields[0] if fields[0].startswith(kind.quote) else f"{kind.quote}{fields[0]}{kind.quote}"
    return kind.delimiter.join([f"{first}{text}", *fields[1:]])


@record
def text_after_a_closing_quote(draft: Draft, random: Random) -> bool:
    return _shaped(draft, random, partial(_after_the_first_quote, "x"), UNREADABLE)


@record
def a_space_after_a_closing_quote(draft: Draft, random: Random) -> bool:
    return _shaped(draft, random, partial(_after_the_first_quote, " "), UNREADABLE)


@record
def all_fields_in_quotes(draft: Draft, random: Random) -> bool:
    chosen = draft.pick(random)
    if chosen is None:
        return False
    for cell in chosen.cells:
        cell.is_quoted = True
    return True


@record
def a_nul(draft: Draft, random: Random) -> bool:
    chosen = draft.pick(random)
    if chosen is None:
        return False
    chosen.cells[0].raw, chosen.reasons, chosen.has_nul = f"{chosen.cells[0].text}\0", frozenset({UNREADABLE}), True
    return True


@record
def bytes_of_another_encoding(draft: Draft, random: Random) -> bool:
    byte = {"utf-8": "\udcff", "cp1252": "\udc81"}.get(draft.encoding)
    if byte is None:
        return False
    return _shaped(
        draft, random, lambda fields, kind: kind.delimiter.join([*fields[:-1], fields[-1] + byte]), ENCODING, UNREADABLE
    )


@record
def half_a_character(draft: Draft, random: Random) -> bool:
    if draft.encoding != "utf-8":
        return False
    return _shaped(
        draft,
        random,
        lambda fields, kind: kind.delimiter.join([f"{fields[0]}\udcc3", *fields[1:]]),
        ENCODING,
        UNREADABLE,
    )


@record
def a_line_above_the_bound(draft: Draft, random: Random) -> bool:
    if draft.encoding == "utf-16" or len(draft.records) > 100 or random.random() < 0.7:  # large files are few
        return False
    return _shaped(draft, random, lambda fields, kind: "x" * (1 << 21), UNREADABLE)


@record
def another_line_end(draft: Draft, random: Random) -> bool:
    chosen = draft.pick(random)
    if chosen is None:
        return False
    chosen.end = random.choice([end for end in ("\n", "\r\n", "\r") if end != draft.end])
    return True


@record
def a_quote_that_is_never_closed(draft: Draft, random: Random) -> bool:
    chosen = draft.pick(random)
    if chosen is None:
        return False
    quote = draft.kind.quote
    chosen.shape = lambda fields, kind: kind.delimiter.join([f"{quote}{fields[0]}", *fields[1:]])
    chosen.reasons = frozenset({UNREADABLE, FEW, MANY, "bad_type", "null_not_allowed"})
    chosen.opens_a_quote = True  # up to the next quote, wherever that is; what the text there says is no row then
    return True


def _inserted(draft: Draft, random: Random, new: Record) -> bool:
    new.is_polluted = True
    draft.records.insert(random.randint(0, len(draft.records)), new)
    return True


@record
def an_empty_line(draft: Draft, random: Random) -> bool:
    return _inserted(draft, random, Record([], shape=lambda fields, kind: "", is_row=False))


@record
def a_line_of_spaces(draft: Draft, random: Random) -> bool:
    return len(draft.records) > 0 and _line(draft, random, "   ", FEW)


@record
def a_line_of_delimiters(draft: Draft, random: Random) -> bool:
    null = "" in draft.kind.nulls
    cells = [Cell("", None, "" if c.get("nullable") else "null_not_allowed") for c in draft.kind.columns]
    return null and _inserted(draft, random, Record(cells))


@record
def a_footer(draft: Draft, random: Random) -> bool:
    draft.records.append(
        Record([], reasons=frozenset({FEW}), shape=lambda fields, kind: "Total: 42 rows", is_polluted=True)
    )
    return True


@record
def the_header_again(draft: Draft, random: Random) -> bool:
    if not draft.kind.has_header:
        return False
    return _inserted(draft, random, Record([Cell(name, None, "bad_type") for name in draft.header]))


@record
def units_below_the_header(draft: Draft, random: Random) -> bool:
    if not draft.kind.has_header or not draft.claim("units"):
        return False
    draft.records.insert(0, Record([Cell("[kg]", None, "bad_type") for _ in draft.header], is_polluted=True))
    return True


@record
def a_comment(draft: Draft, random: Random) -> bool:
    sign = draft.kind.comment or "#"
    if draft.kind.comment:
        text = random.choice([f"{sign} checked by hand", sign, f'{sign} a "quote', f"{sign}1,2,3"])
        return _inserted(draft, random, Record([], shape=lambda fields, kind: text, is_row=False))
    return _line(draft, random, f"{sign} checked by hand", FEW)


@record
def markers_of_a_merge(draft: Draft, random: Random) -> bool:
    return _line(draft, random, "<<<<<<< HEAD", FEW)


def _line(draft: Draft, random: Random, text: str, *reasons: str) -> bool:
    """A line that is not one of the feed's records, and has to be refused."""
    return _inserted(draft, random, Record([], reasons=frozenset(reasons), shape=lambda fields, kind: text))
