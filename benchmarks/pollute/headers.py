"""Pollutions of the header: its order, its spelling, columns too many or too few, and what stands above it."""

import unicodedata
from collections.abc import Callable
from functools import wraps
from random import Random

from benchmarks.pollute.draft import Draft, Pollution, registered

HEADERS: list[Pollution] = []

MISSING, TWICE, EXTRA, UNREADABLE = "missing_column", "duplicate_column", "extra_column", "unreadable"


def header(*claims: str) -> Callable[[Pollution], Pollution]:
    """Register a pollution of these parts of a header; it returns False where it cannot be done."""

    def register(function: Pollution) -> Pollution:
        def where_there_is_one(draft: Draft, random: Random) -> bool:
            return draft.kind.has_header and not draft.refused and function(draft, random)

        return registered(HEADERS, "header", claims, wraps(function)(where_there_is_one))

    return register


@header("order")
def other_order(draft: Draft, random: Random) -> bool:
    random.shuffle(draft.order)
    return True


@header("order")
def two_columns_swapped(draft: Draft, random: Random) -> bool:
    one, other = random.sample(range(len(draft.order)), 2)
    draft.order[one], draft.order[other] = draft.order[other], draft.order[one]
    return True


@header("names")
def spaces_around_names(draft: Draft, random: Random) -> bool:
    draft.header = [f"  {name} " for name in draft.header]
    return True


@header("names")
def other_case(draft: Draft, random: Random) -> bool:
    names = [random.choice([str.upper, str.title, str.lower])(name) for name in draft.header]
    if names == draft.header:
        return False
    draft.header = names
    if draft.kind.csv.get("header") != "ignore_case":
        absent = [at for at in draft.order if names[at] != draft.kind.names[at] and _must_be_there(draft, at)]
        draft.refuse(*([MISSING] if absent else [EXTRA]))
    return True


@header("names")
def names_of_two_characters(draft: Draft, random: Random) -> bool:
    """Each é as e and an accent."""
    if draft.encoding not in ("utf-8", "utf-16"):
        return False
    draft.header = [unicodedata.normalize("NFD", name) for name in draft.header]
    return draft.header != draft.kind.names


@header("names")
def a_name_misspelt(draft: Draft, random: Random) -> bool:
    at = random.choice(draft.order)
    return _renamed(draft, at, draft.header[at][:-1] + "x" + draft.header[at][-1:])


@header("names")
def a_name_with_a_zero_width_space(draft: Draft, random: Random) -> bool:
    if draft.encoding not in ("utf-8", "utf-16"):
        return False
    at = random.choice(draft.order)
    return _renamed(draft, at, "\u200b" + draft.header[at])


@header("names")
def a_name_in_quotes_of_another_kind(draft: Draft, random: Random) -> bool:
    other = "'" if draft.kind.quote == '"' else '"'
    at = random.choice(draft.order)
    return _renamed(draft, at, f"{other}{draft.header[at]}{other}")


@header("names", "order")
def a_column_missing(draft: Draft, random: Random) -> bool:
    at = random.choice(draft.order)
    draft.order.remove(at)
    if _must_be_there(draft, at):
        draft.refuse(MISSING)
        return True
    for record in draft.records:  # null, whatever the row said
        if record.cells and record.is_row:
            record.cells[at].text, record.cells[at].value, record.cells[at].reason = "", None, ""
    return True


@header("names", "order")
def a_column_twice(draft: Draft, random: Random) -> bool:
    at = random.choice(draft.order)
    draft.order.insert(random.randint(0, len(draft.order)), at)
    draft.refuse(TWICE)
    return True


@header("more")
def a_column_more(draft: Draft, random: Random) -> bool:
    draft.more.append(("checked by", "me"))
    return _ignored_or_refused(draft)


@header("more")
def an_index_without_a_name(draft: Draft, random: Random) -> bool:
    draft.more.append(("Unnamed: 0", "7"))
    return _ignored_or_refused(draft)


@header("more")
def delimiters_at_the_end_of_every_line(draft: Draft, random: Random) -> bool:
    draft.more.append(("", ""))
    return _ignored_or_refused(draft)


@header("more")
def two_empty_columns(draft: Draft, random: Random) -> bool:
    draft.more += [("", ""), ("", "")]
    return _ignored_or_refused(draft)


@header("above")
def a_title_above_it(draft: Draft, random: Random) -> bool:
    draft.above.insert(0, "Export of Monday")
    if draft.kind.skip_lines:  # one line too many: the last of the lines to skip is taken for the header
        draft.above[-1] = "the header comes next"
    draft.refuse(MISSING, UNREADABLE, rows=False)
    return True


@header("above")
def empty_lines_above_it(draft: Draft, random: Random) -> bool:
    draft.above += [""] * random.randint(1, 3)
    return True


@header("above")
def spaces_above_it(draft: Draft, random: Random) -> bool:
    draft.above.append("   ")
    return True


@header("above")
def excel_s_word_for_the_delimiter(draft: Draft, random: Random) -> bool:
    draft.above.append(f"sep={draft.kind.delimiter}")
    draft.refuse(MISSING, rows=False)
    return True


@header("names", "order", "above")
def no_header_at_all(draft: Draft, random: Random) -> bool:
    """Its first row is taken for one."""
    if not draft.records or not draft.records[0].truth:
        return False
    draft.claimed.add("no header")
    draft.refuse(MISSING, UNREADABLE, TWICE, rows=False)
    return True


@header("names", "order")
def a_quote_that_is_never_closed(draft: Draft, random: Random) -> bool:
    draft.claimed.add("open quote in header")
    draft.refuse(UNREADABLE, MISSING, "bad_encoding", rows=False)
    return True


@header("names")
def a_nul_in_it(draft: Draft, random: Random) -> bool:
    at = random.choice(draft.order)
    draft.header[at] += "\0"
    draft.refuse(UNREADABLE, rows=False)
    return True


@header("names")
def names_in_quotes(draft: Draft, random: Random) -> bool:
    draft.claimed.add("quoted header")
    return True


@header("names")
def bytes_of_another_encoding_in_it(draft: Draft, random: Random) -> bool:
    if draft.encoding != "utf-8":
        return False
    draft.header[random.choice(draft.order)] += "\udce9"
    draft.refuse("bad_encoding", rows=False)
    return True


def _must_be_there(draft: Draft, at: int) -> bool:
    column = draft.kind.columns[at]
    nulls = draft.kind.csv.get("missing_columns") == "null" and column.get("nullable")
    return not (nulls or column.get("role") == "target")


def _renamed(draft: Draft, at: int, name: str) -> bool:
    """A name that the feed does not know; False where the file is read all the same, without that column."""
    if _must_be_there(draft, at):
        draft.refuse(MISSING)
    elif draft.kind.csv.get("extra_columns") != "ignore":
        draft.refuse(EXTRA)
    else:
        return False
    draft.header[at] = name
    return True


def _ignored_or_refused(draft: Draft) -> bool:
    if draft.kind.csv.get("extra_columns") != "ignore":
        draft.refuse(EXTRA)
    return True
