"""The code blocks of a Markdown page: which there are, which are run, and from what folder the page starts.

A fence in a language of `RUN` is run, any other is only shown. `<!-- not run: reason -->` right before a fence leaves
it out. `<!-- runs in: trained -->` before the first of them names the folder that the page starts from.
"""

import re
import textwrap
from dataclasses import dataclass

RUN = ("bash", "python", "sql")
INSTEAD = {"sh": "bash", "shell": "bash", "zsh": "bash", "py": "python", "python3": "python", "duckdb": "sql"}
STARTS = ("fresh", "trained", "streamed")

FENCE = re.compile(r"(?P<indent>\s*)(?P<fence>`{3,}|~{3,})\s*(?P<language>[\w-]*)")
NOT_RUN = re.compile(r"\s*<!--\s*not run:(?P<reason>.*)-->\s*")
STARTS_FROM = re.compile(r"\s*<!--\s*runs in:\s*(?P<start>.*?)\s*-->\s*")

SPARK = re.compile(r"streamscore run|streamscore demo|spark-submit|start_session|predict_udf")
SLOW = re.compile(r"streamscore (train|promote|doctor|replay|maintain|models|lineage)|open_registry|import mlflow")


class PageError(ValueError):
    """A page whose blocks cannot be told apart; the message names the line and what to write."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `line` is that of its first line of code, `reason` says why it is not run (None: it is)."""

    language: str
    code: str
    line: int
    reason: str | None = None

    @property
    def is_run(self) -> bool:
        return self.language in RUN and self.reason is None


@dataclass(frozen=True, slots=True)
class Page:
    """The blocks of a page in their order, and the folder that it starts from, one of `STARTS`."""

    start: str
    blocks: tuple[Block, ...]

    @property
    def run(self) -> tuple[Block, ...]:
        return tuple(block for block in self.blocks if block.is_run)

    @property
    def starts_spark(self) -> bool:
        return bool(self.run) and (self.start == "streamed" or any(SPARK.search(block.code) for block in self.run))

    @property
    def is_slow(self) -> bool:
        trained = bool(self.run) and self.start != "fresh"
        return self.starts_spark or trained or any(SLOW.search(block.code) for block in self.run)


def read_page(text: str) -> Page:
    """The blocks of a page.

    Raises:
        PageError: a fence that is never closed, a mark without a reason or without a block, an unknown start, or a
            language that has another name here.
    """
    start, blocks, reason, code_lines = "", list[Block](), None, _outside(text)
    for number, line, block in code_lines:
        if block is not None:
            if block.language in INSTEAD:
                msg = f"line {number}: write ```{INSTEAD[block.language]} for ```{block.language}"
                raise PageError(msg)
            blocks.append(Block(block.language, block.code, block.line, reason if block.language in RUN else None))
            reason = None if block.language in RUN else reason
        elif found := NOT_RUN.fullmatch(line):
            reason = found["reason"].strip()
            if not reason:
                msg = f"line {number}: 'not run' has no reason; write <!-- not run: reason -->"
                raise PageError(msg)
        elif found := STARTS_FROM.fullmatch(line):
            start = _start(found["start"], number, start, any(block.is_run for block in blocks))
        if reason is not None and line.strip() and not NOT_RUN.fullmatch(line):
            msg = f"line {number}: 'not run' stands before no block of {', '.join(RUN)}"
            raise PageError(msg)
    return Page(start or "fresh", tuple(blocks))


def _start(found: str, number: int, before: str, late: bool) -> str:
    if found not in STARTS:
        msg = f"line {number}: 'runs in: {found}', wanted one of {', '.join(STARTS)}"
        raise PageError(msg)
    if before or late:
        msg = f"line {number}: 'runs in' stands once, before the first block that is run"
        raise PageError(msg)
    return found


def _outside(text: str) -> list[tuple[int, str, Block | None]]:
    """The lines outside of blocks with their numbers, and each block as one item with an empty line."""
    found: list[tuple[int, str, Block | None]] = []
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        opened = FENCE.match(lines[number])
        if not opened:
            found.append((number + 1, lines[number], None))
            number += 1
            continue
        close = re.compile(rf"\s*{re.escape(opened['fence'])}{opened['fence'][0]}*\s*")
        end = next((n for n in range(number + 1, len(lines)) if close.fullmatch(lines[n])), None)
        if end is None:
            msg = f"line {number + 1}: this block is never closed"
            raise PageError(msg)
        code = textwrap.dedent("\n".join(lines[number + 1 : end])) + "\n"
        found.append((number + 1, "", Block(opened["language"], code, number + 2)))
        number = end + 1
    return found


def prose(text: str) -> list[tuple[int, str]]:
    """The lines outside of blocks, with their numbers."""
    return [(number, line) for number, line, block in _outside(text) if block is None]
