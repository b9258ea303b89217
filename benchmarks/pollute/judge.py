"""What a reader made of a file beside what must become of it."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from benchmarks.pollute.draft import Outcome, Row, Value


@dataclass
class Found:
    """What a reader made of a file.

    Attributes:
        rows: their values, in the feed's order; a reader that leaves out a column has `...` there.
        lines: for each row, its physical line; None from a reader that does not say it.
        refused: (line, reason, rows) of what it refused; None if it says nothing of that; line None: the whole file.
        is_corrupt: for each row, whether Spark marks it.
        told: how many rows a reader says it left out, if it says no lines.
        error: why there are no rows, if it raised.
        predictions: one a row, of a stream.
    """

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    lines: list[int] | None = None
    refused: list[tuple[int | None, str, int | None]] | None = None
    is_corrupt: list[bool] | None = None
    told: int | None = None
    error: str = ""
    predictions: list[float] | None = None


@dataclass
class Verdict:
    """Counts of rows, and of files.

    Attributes:
        wrong: rows with other values than the file's, rows that are no rows, rows twice, and rows that are gone
            although nothing says so.
        clean: rows that must be read.
        recovered: those of them that were.
        share: the sum over all files of recovered / clean, so that a large file counts as one.
        with_clean: files with clean rows.
        ended: files whose reading raised an error.
        misfiled: refused rows or files with another reason, line or count than they must have.
        examples: of what is wrong.
    """

    files: int = 0
    wrong: int = 0
    clean: int = 0
    recovered: int = 0
    share: float = 0.0
    with_clean: int = 0
    ended: int = 0
    misfiled: int = 0
    wrong_files: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, outcome: Outcome, found: Found) -> None:
        """Hold one file against its outcome."""
        before, clean, recovered = self.wrong, self.clean, self.recovered
        self.files += 1
        self.ended += bool(found.error)
        self._rows(outcome, found)
        if self.clean > clean:
            self.share += (self.recovered - recovered) / (self.clean - clean)
            self.with_clean += 1
        self.wrong_files += self.wrong > before

    def _rows(self, outcome: Outcome, found: Found) -> None:
        wanted = {row.truth[0]: row for row in outcome.rows if row.truth}
        if outcome.is_taken and not outcome.refused:
            self.clean += sum(_is_clean(row) for row in outcome.rows)
        told = {line: reason for line, reason, _ in found.refused or [] if line is not None}
        seen: Counter[Value] = Counter()
        others = 0  # rows that no row of the file became: they stand for as many that are gone
        for at, values in enumerate(found.rows):
            line = found.lines[at] if found.lines else None
            row = wanted.get(values[0]) or (None if line is not None else _read_as_it_is(outcome, values))
            predicted = found.predictions[at] if found.predictions is not None else None
            if why := self._wrong(outcome, row, values, line) or _other_prediction(outcome, values, predicted):
                self._blame(outcome, f"{why}: {values}"[:300])
                others += row is None
            elif row is not None and row.truth and not seen[row.truth[0]]:
                self.recovered += _is_clean(row) and outcome.is_taken and not outcome.refused
            if row is not None and row.truth:
                seen[row.truth[0]] += 1
                if seen[row.truth[0]] > 1:
                    self._blame(outcome, f"a row twice: {values}"[:300])
        if outcome.is_taken:
            self._absent(outcome, found if found.lines else replace(found, told=(found.told or 0) + others), seen, told)
        elif found.refused:
            self.misfiled += 1
            self.examples.append(f"{_of(outcome)}: refused, though it is not taken")

    def _wrong(self, outcome: Outcome, row: Row | None, values: tuple[Any, ...], line: int | None) -> str:
        """Why a row that was read is wrong; empty if it is right."""
        if row is None:
            return "a row that the file does not have"
        if not outcome.is_taken:
            return "a row of a file that is not taken"
        is_strict = line is not None
        if is_strict and (outcome.refused or row.reasons):
            return f"not refused for {sorted(outcome.refused or row.reasons)}"
        if is_strict and line != row.line:
            return f"line {line} in place of {row.line}"
        # another reader knows no limits, and may make out of a text what it was before, or what it seems to say
        if same(values, row.values, is_strict) or (not is_strict and same(values, row.truth, False)):
            return ""
        wanted = [(v, w) for v, w in zip(values, row.values, strict=True) if not same((v,), (w,), is_strict)]
        return f"found and wanted {wanted}"

    def _absent(self, outcome: Outcome, found: Found, seen: Counter[Value], told: dict[int, str]) -> None:
        """Rows that were not read: is it said, and is the reason right?"""
        if found.error:
            return
        if found.refused is None:
            gone = [row for row in outcome.rows if row.truth and not seen[row.truth[0]] and not row.may_be_swallowed]
            for row in gone[found.told or 0 :]:
                self._blame(outcome, f"gone without a word: {row.values}"[:300])
            return
        if outcome.refused:
            whole = [(reason, rows) for line, reason, rows in found.refused if line is None]
            is_right = len(whole) == 1 and whole[0][0] in outcome.refused and len(found.refused) == 1
            if not whole:
                self._blame(outcome, f"not refused for {sorted(outcome.refused)}: {found.refused[:3]}")
            elif not is_right or (outcome.counted is not None and whole[0][1] != outcome.counted):
                self._misfile(
                    outcome, f"{found.refused[:3]}, wanted {sorted(outcome.refused)} of {outcome.counted} rows"
                )
            return
        for row in outcome.rows:
            if row.truth and seen[row.truth[0]]:
                continue
            reason = told.pop(row.line, "")
            if reason:
                if row.reasons and reason not in row.reasons and not row.may_be_swallowed:
                    self._misfile(outcome, f"line {row.line}: {reason}, wanted {sorted(row.reasons)}")
                elif not row.reasons and not row.may_be_swallowed:
                    self._misfile(outcome, f"line {row.line}: {reason}, wanted {row.values}"[:300])
            elif not row.may_be_swallowed:
                self._blame(outcome, f"gone without a word: line {row.line} {sorted(row.reasons)} {row.values}"[:300])
        for line, reason in told.items():
            if not any(row.may_be_swallowed for row in outcome.rows):
                self._misfile(outcome, f"line {line} is refused ({reason}), and is no row")

    def _blame(self, outcome: Outcome, why: str) -> None:
        self.wrong += 1
        self.examples.append(f"{_of(outcome)}: {why}")

    def _misfile(self, outcome: Outcome, why: str) -> None:
        self.misfiled += 1
        self.examples.append(f"{_of(outcome)}: refused: {why}")


def _of(outcome: Outcome) -> str:
    return f"{outcome.kind.name} {outcome.source_file!r} ({'; '.join(outcome.pollutions)})"


def _read_as_it_is(outcome: Outcome, values: tuple[Any, ...]) -> Row | None:
    """The row that a reader without limits made these of: delimiters alone, or one whose key says something else."""
    return next((row for row in outcome.rows if row.values and same(values, row.values, is_strict=False)), None)


def _other_prediction(outcome: Outcome, values: tuple[Any, ...], predicted: float | None) -> str:
    """Why a prediction is wrong: the model is a sum of the features, each times its place."""
    if predicted is None:
        return ""
    total, place = 0.0, 0
    for column, value in zip(outcome.kind.columns, values, strict=True):
        if column.get("role", "feature") == "feature":
            place += 1
            total += place * value
    return "" if total == predicted else f"predicted {predicted} in place of {total}"


def _is_clean(row: Row) -> bool:
    return bool(row.truth) and not row.reasons


def same(found: Sequence[Any], wanted: Sequence[Value], is_strict: bool) -> bool:
    """Whether values are equal; strictly: -0 is not 0, and NaN is not null."""
    return all(_same(one, other, is_strict) for one, other in zip(found, wanted, strict=True))


def _same(found: Any, wanted: Value, is_strict: bool) -> bool:
    if found is ...:
        return True
    if isinstance(found, float) and math.isnan(found):
        return (isinstance(wanted, float) and math.isnan(wanted)) or (wanted is None and not is_strict)
    if isinstance(found, datetime) and found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    if is_strict:
        return type(found) is type(wanted) and (
            repr(found) == repr(wanted) if isinstance(found, float) else found == wanted
        )
    return bool(found == wanted) or (found is None and wanted == "")
