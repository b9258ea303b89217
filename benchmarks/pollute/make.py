"""Seed tables in, polluted files and their outcomes out: the same for the same seed."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from benchmarks.pollute.cells import pollute_cell
from benchmarks.pollute.draft import Cell, Draft, Outcome, Pollution, rows_of, write_text, written
from benchmarks.pollute.files import FILES, LINKS
from benchmarks.pollute.headers import HEADERS
from benchmarks.pollute.kinds import KINDS, Kind
from benchmarks.pollute.records import RECORDS
from benchmarks.pollute.seeds import draft_of, wines

ROWS = 12  # of a file, at most; a few are larger
LARGE, LONG = 1000, 10_000  # rows, and bytes of a note, in a file of more than one block of the reader
TEXTS = 90  # more than any type has
TOGETHER = 4  # cells in a file whose cells alone are polluted


def make(folder: Path, files: int, seed: int, wine: Path | None = None, *, large: int = 2) -> list[Outcome]:
    """So many polluted files, below a folder for each kind, and what must become of each.

    Args:
        large: how many of them are larger than a block of the stream's reader.
    """
    real = wines(wine)
    outcomes = []
    for number, draft in enumerate(_drafts(files, seed, real, large)):
        outcomes.append(_place(draft, folder, number))
    return outcomes


def _drafts(files: int, seed: int, real: Sequence[Sequence[str]], large: int) -> Iterator[Draft]:
    """Each pollution alone at first, in one kind of feed after the other; then several at once."""
    number = 0
    alone = _alone(seed, real)
    while number < files:
        draft = next(alone, None) if number < files * 3 // 4 else None
        is_large = number >= files - large
        draft = draft or _several(KINDS[0 if is_large else number % len(KINDS)], seed, number, real, is_large)
        if not draft.pollutions:
            continue
        number += 1
        yield draft


def _fresh(kind: Kind, random: Random, real: Sequence[Sequence[str]], is_large: bool = False) -> Draft:
    rows = LARGE if is_large else random.randint(5, ROWS)
    draft = draft_of(kind, random.randrange(1, 2**30) * 1_000_000, rows, random, real)
    for record in draft.records if is_large else ():
        long = f"{record.truth[0]} " * (LONG // 16)
        at = kind.names.index("note")
        record.cells[at] = Cell(long, long)
        record.truth = tuple(cell.value for cell in record.cells)
    return draft


def _alone(seed: int, real: Sequence[Sequence[str]]) -> Iterator[Draft]:
    """A file for each pollution of each kind of feed, all in an order of chance."""
    random = Random(f"{seed}/alone")
    jobs: list[tuple[Kind, Pollution]] = []
    for kind in KINDS:
        jobs += [(kind, one) for one in (*RECORDS, *HEADERS, *FILES)]
        jobs += [(kind, _cells(at, first)) for at in kind.in_file for first in range(0, TEXTS, TOGETHER)]
    random.shuffle(jobs)
    for kind, job in jobs:
        draft = _fresh(kind, random, real)
        if job(draft, random):
            yield draft


def _cells(at: int, first: int) -> Pollution:
    """Some texts for one column, each in a row of its own."""

    def pollute(draft: Draft, random: Random) -> bool:
        done = [pollute_cell(draft, at, number, random) for number in range(first, first + TOGETHER)]
        return any(done)

    return pollute


def _several(kind: Kind, seed: int, number: int, real: Sequence[Sequence[str]], is_large: bool) -> Draft:
    """A file with pollutions of several levels."""
    random = Random(f"{seed}/several/{number}")
    while True:
        draft = _fresh(kind, random, real, is_large)
        for _ in range(random.randint(1, 5)):
            pollute_cell(draft, random.choice(kind.in_file), random.randrange(TEXTS), random)
        for level, most in ((RECORDS, 3), (HEADERS, 2), (FILES, 2)):
            for pollute in random.sample(level, random.randint(0, most)):
                pollute(draft, random)
        if len(draft.pollutions) > 1:
            return draft
        number += 1


def _place(draft: Draft, folder: Path, number: int) -> Outcome:
    """Write a file where a stream of its kind will find it."""
    kind = draft.kind
    rows_in_order = [record for record in draft.records if record.is_row]
    if any(r.has_nul for r in (rows_in_order if draft.refused else rows_in_order[: not kind.has_header])):
        draft.refuse("unreadable", rows=False)
    name = f"{draft.name or f'{number:05}'}{draft.ending}"
    path = folder / kind.name / "landing" / draft.folder / name
    data = _bytes(draft)
    path.parent.mkdir(parents=True, exist_ok=True)
    if draft.placed == "a FIFO":
        os.mkfifo(path)
    elif draft.placed in LINKS:
        target = folder / kind.name / f"target-{number}"
        target.write_bytes(data)
        if draft.placed == "a hard link":
            os.link(target, path)
        else:
            os.symlink(target, path)
    else:
        path.write_bytes(data)
    if draft.modified is not None:
        os.utime(path, (draft.modified, draft.modified), follow_symlinks=False)
    rows = tuple(rows_of(draft))
    if draft.refused:
        rows = tuple(row for row in rows if row.truth)  # what others make of them is looked at
    source_file = "/".join(filter(None, [draft.folder, name]))
    is_counted = draft.refused and draft.is_counted and not any(record.opens_a_quote for record in draft.records)
    counted = sum(record.is_row for record in draft.records) if is_counted else None
    return Outcome(
        kind, source_file, draft.is_taken, draft.refused, counted, rows, tuple(draft.pollutions), path, draft.placed
    )


def _bytes(draft: Draft) -> bytes:
    text = write_text(draft)
    kind = draft.kind
    if draft.claimed & {"no header", "open quote in header", "quoted header"}:
        text = _other_header(draft, text)
    # a byte that is no text stands in the text as a surrogate
    errors = "surrogateescape" if draft.encoding in ("utf-8", "utf-8-sig", "cp1252") else "replace"
    data = text.encode(draft.encoding, errors)
    assert kind.encoding != "utf-16" or draft.encoding != "utf-16" or data[:2] in (b"\xff\xfe", b"\xfe\xff")
    return draft.pack(data) if draft.pack else data


def _other_header(draft: Draft, text: str) -> str:
    """The text with its header taken away, in quotes, or with a quote that is not closed."""
    kind = draft.kind
    names = [*(draft.header[at] for at in draft.order), *(name for name, _ in draft.more)]
    plain = kind.delimiter.join(written(Cell(name, name), kind) for name in names) + draft.end
    if "no header" in draft.claimed:
        return text.replace(plain, "", 1)
    if "open quote in header" in draft.claimed:
        return text.replace(plain, kind.quote + plain, 1)
    quoted = kind.delimiter.join(written(Cell(name, name, is_quoted=True), kind) for name in names) + draft.end
    return text.replace(plain, quoted, 1)
