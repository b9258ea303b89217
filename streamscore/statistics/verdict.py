"""Which columns of a window drifted: all its tests together, and alarms that need more than one window."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from streamscore.statistics.distances import NONE, Distances, distances_of_numbers, distances_of_values
from streamscore.statistics.sketches import ColumnSketch
from streamscore.statistics.two_samples import (
    Method,
    TwoSamples,
    homogeneity,
    kolmogorov_smirnov,
    two_proportions,
)

ALPHA = 0.01  # of a window: the chance that any of its tests says drift where there is none
FLOORS = {"values": 0.1, "missing": 0.02, "unseen": 0.02, "rejects": 0.02}
FLOOR_OF_NUMBERS = 0.08  # of their values: a normal column that moves by 0.25 standard deviations has 0.0995
MIN_ROWS = 100  # of a window that gets a verdict
MIN_FILES = 5  # rows of one file are not independent
ALARM, OF_WINDOWS = 2, 3  # windows with drift, of the last ones, make an alarm
REJECTS = "rejected rows"  # stands for a column

Check = Literal["values", "missing", "unseen", "rejects"]


@dataclass(frozen=True, slots=True)
class ColumnTest:
    """One test of one column.

    Attributes:
        check: its values; null, NaN and infinite ones; values that were not there before; rows in quarantine.
        rows_before, rows_now: that the test counts.
        share_before, share_now: of rows; null for `values`.
        p_adjusted: by Holm's method over all tests of the window.
        drifted: by p and by effect.
    """

    column: str
    check: Check
    method: Method
    rows_before: int
    rows_now: int
    effect: float
    low: float | None
    high: float | None
    p: float
    share_before: float | None = None
    share_now: float | None = None
    distances: Distances = NONE
    p_adjusted: float = 1.0
    drifted: bool = False

    @property
    def floor(self) -> float:
        """The effect below which nothing drifted, whatever the p."""
        return FLOOR_OF_NUMBERS if self.method == "ks" else FLOORS[self.check]


@dataclass(frozen=True, slots=True)
class Rejected:
    """Rows of a window's files, and how many of them are in quarantine."""

    rows: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Compared:
    """What a window says beside a baseline.

    Attributes:
        tests: the worst first.
        changed: column → how it is another one than before: it is new, gone, or of another kind.
        untested: column → why else it has no test of its values.
    """

    tests: tuple[ColumnTest, ...]
    changed: Mapping[str, str]
    untested: Mapping[str, str]

    @property
    def drifted(self) -> tuple[ColumnTest, ...]:
        """The tests that say so."""
        return tuple(test for test in self.tests if test.drifted)


def compare(
    before: Sequence[ColumnSketch],
    now: Sequence[ColumnSketch],
    rejected_before: Rejected | None = None,
    rejected_now: Rejected | None = None,
) -> Compared:
    """Hold a window against a baseline.

    A column has drifted if its effect is at least the floor of its check, and its p at most 0.01 by Holm's method
    (S. Holm, Scandinavian Journal of Statistics 6, 1979) over all tests. A share that is 0 or 1 in both has no test: it
    could not say anything else.

    Args:
        before, now: columns are compared by name.
    """
    was, there = {of.name: of for of in before}, {of.name for of in now}
    changed = {name: "not there any more" for name in was if name not in there}
    untested: dict[str, str] = {}
    tests: list[ColumnTest] = []
    for of in now:
        old = was.get(of.name)
        if old is None or old.kind != of.kind:
            changed[of.name] = "new" if old is None else f"{of.kind}, {old.kind} before"
            continue
        tests.extend(_of_share(of.name, "missing", (old.missing, old.rows), (of.missing, of.rows)))
        if why := _why_not(old, of):
            untested[of.name] = why
        else:
            tests.extend(_of_values(old, of))
    if rejected_before and rejected_now:
        shares = ((of.rejected, of.rows) for of in (rejected_before, rejected_now))
        tests.extend(_of_share(REJECTS, "rejects", *shares))
    return Compared(tuple(sorted(_judged(tests), key=_severity)), changed, untested)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the same order: at most α where the test stands at level α of all together."""
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(order):
        largest = max(largest, min(1.0, p_values[at] * (len(order) - rank)))
        adjusted[at] = largest
    return adjusted


def is_alarm(drifted: Sequence[bool]) -> bool:
    """Whether a column's windows alarm, the newest last: 2 of the last 3 drifted."""
    return sum(drifted[-OF_WINDOWS:]) >= ALARM


def cause(*, features_moved: bool | None, new_version: bool) -> str:
    """What drift from what a version learned comes from.

    Args:
        features_moved: the features drifted from the rows before, too; null: there are no rows before.
        new_version: another version scored the rows before.
    """
    return "new model" if new_version and features_moved is False else "new data"


def _judged(tests: Sequence[ColumnTest]) -> Iterator[ColumnTest]:
    for test, p in zip(tests, holm([test.p for test in tests]), strict=True):
        yield replace(test, p_adjusted=p, drifted=p <= ALPHA and test.effect >= test.floor)


def _severity(test: ColumnTest) -> tuple[object, ...]:
    return not test.drifted, -test.effect / test.floor, test.column, test.check


def _why_not(before: ColumnSketch, now: ColumnSketch) -> str:
    if now.kind == "time":
        return "times always move on"
    if not before.known or not now.known:
        return f"without a value {'in this window' if before.known else 'before'}"
    return ""


def _of_values(before: ColumnSketch, now: ColumnSketch) -> Iterator[ColumnTest]:
    if now.kind == "number":
        tested, far = kolmogorov_smirnov(before, now), distances_of_numbers(before, now)
    else:
        was, has = _classes(before, now)
        tested, far = homogeneity(was, has), distances_of_values(was, has)
        if not before.other:
            known = {value for value, _ in before.values}
            unseen = sum(count for value, count in now.values if value not in known)
            yield from _of_share(now.name, "unseen", (0, before.known), (unseen, now.known))
    yield _test(now.name, "values", tested, before.known, now.known, distances=far)


def _of_share(name: str, check: Check, before: tuple[int, int], now: tuple[int, int]) -> Iterator[ColumnTest]:
    hits, rows = before[0] + now[0], before[1] + now[1]
    if not before[1] or not now[1] or hits in (0, rows):
        return
    tested = two_proportions(*before, *now)
    yield _test(name, check, tested, before[1], now[1], shares=(before[0] / before[1], now[0] / now[1]))


def _test(
    name: str,
    check: Check,
    tested: TwoSamples,
    rows_before: int,
    rows_now: int,
    *,
    shares: tuple[float | None, float | None] = (None, None),
    distances: Distances = NONE,
) -> ColumnTest:
    of = tested.method, rows_before, rows_now, tested.effect, tested.low, tested.high, tested.p
    return ColumnTest(name, check, *of, *shares, distances)


def _classes(before: ColumnSketch, now: ColumnSketch) -> list[dict[Any, int]]:
    """Rows by value: of each value whose rows are known on both sides; all others are one class, None.

    A value that one side lists is not there on the other side only if that lists all of its values. Taking the most
    frequent values of one side alone would find drift in the rest, because chance chose them.
    """
    was, has = dict(before.values), dict(now.values)
    names = [n for n in sorted({*was, *has}) if (n in was or not before.other) and (n in has or not now.other)]
    parts: list[dict[Any, int]] = []
    for of, counts in ((before, was), (now, has)):
        inside = [counts.get(name, 0) for name in names]
        parts.append(dict(zip([*names, None], [*inside, of.known - sum(inside)], strict=True)))
    return parts
