"""The numbers to reach, each against what was measured; two cores, local folders, elastic net, one run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.figures import median, milliseconds, quantile, ratio, steady_rate, times
from benchmarks.models import FOREST

OURS, ARTICLE, LOOP = "streamscore", "article", "loop"
MIB, COMMITS = 2**20, 10_000
MANY_FILES, MILLION = "20,000 files of 50 rows", "1 M rows in 200 files"


@dataclass(frozen=True, slots=True)
class Goal:
    """One bound of one row.

    Attributes:
        holds: None where it was not measured.
    """

    row: str
    bound: str
    measured: str
    holds: bool | None


def at_most(row: str, bound: str, value: float, limit: float, text: str) -> Goal:
    """A value that is not to be above its limit; NaN: not measured."""
    return Goal(row, bound, "–", None) if math.isnan(value) else Goal(row, bound, text, value <= limit)


def at_least(row: str, bound: str, value: float, limit: float, text: str) -> Goal:
    """A value that is not to be below its limit; NaN: not measured."""
    return Goal(row, bound, "–", None) if math.isnan(value) else Goal(row, bound, text, value >= limit)


def goals(parts: Mapping[str, Any]) -> list[Goal]:
    """All rows, in the order of the list of goals."""
    return [
        *of_latency(parts.get("latency", {})),
        *of_forest(parts.get("large_models", {}).get(FOREST, {})),
        *of_catch_up(parts.get("catch_up", {})),
        *of_start(parts.get("start_up", {})),
        *of_landed(parts.get("growth", {}).get("landed", {})),
        *of_memory(parts.get("memory", {}).get(OURS, {})),
        of_idle(parts.get("idle", {}).get(OURS, {})),
        of_commits(parts.get("growth", {}).get("commits", {}).get(OURS, {})),
    ]


def waits(found: Mapping[str, Any], name: str) -> Sequence[float]:
    """The steady waits of a contestant; none where it was not measured."""
    return found.get(name, {}).get("waits_s", ())


def of_latency(found: Mapping[str, Any]) -> list[Goal]:
    row, ours = "latency p50, 100-row files", median(waits(found, OURS))
    article, loop = ratio(ours, median(waits(found, ARTICLE))), ratio(ours, median(waits(found, LOOP)))
    tail = ratio(quantile(waits(found, OURS), 0.99), ours)
    return [
        at_most(row, "≤ 40 ms", ours, 0.040, milliseconds(ours)),
        at_most(row, "≤ 1/100 of article", article, 1 / 100, part_of(article)),
        at_most(row, "≤ 1.5 × loop", loop, 1.5, times(loop)),
        at_most("latency p99", "≤ 2.5 × p50", tail, 2.5, times(tail)),
    ]


def of_forest(found: Mapping[str, Any]) -> list[Goal]:
    row, ours = "latency, forest of 100 trees", median(waits(found, OURS))
    article, loop = ratio(ours, median(waits(found, ARTICLE))), ratio(ours, median(waits(found, LOOP)))
    return [
        at_most(row, "≤ 1/30 of article", article, 1 / 30, part_of(article)),
        at_most(row, "≤ 1.5 × loop", loop, 1.5, times(loop)),
    ]


def of_catch_up(found: Mapping[str, Any]) -> list[Goal]:
    ours, article, loop = (run_of(found, MILLION, name) for name in (OURS, ARTICLE, LOOP))
    row, whole = "catch-up, 1 M rows in 200 files, steady rows/s", ratio(ours.whole, article.whole)
    faster, of_loop = ratio(ours.rate, article.rate), ratio(ours.rate, loop.rate)
    many, many_article = run_of(found, MANY_FILES, OURS), run_of(found, MANY_FILES, ARTICLE)
    many_faster = ratio(many.rate, many_article.rate)
    return [
        at_least(row, "≥ 10 × article", faster, 10, times(faster)),
        at_least(row, "≥ 0.6 × loop with one commit", of_loop, 0.6, times(of_loop)),
        at_most("catch-up, whole command", "≤ 1/2 of article", whole, 0.5, part_of(whole)),
        at_least(MANY_FILES, "≥ 10 × article", many_faster, 10, times(many_faster)),
        at_most(MANY_FILES, "≤ 20 s after start", many.after_start, 20, f"{many.after_start:.1f} s"),
    ]


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Seconds and rows a second of one; NaN: not measured, or not caught up in its time."""

    whole: float
    after_start: float
    rate: float


def run_of(found: Mapping[str, Any], load: str, name: str) -> CatchUp:
    """What one contestant did with one load."""
    run = found.get(load, {}).get("contestants", {}).get(name)
    if run is None:
        return CatchUp(math.nan, math.nan, math.nan)
    whole = run["commits"][-1][0] if run["complete"] else math.nan
    return CatchUp(whole, whole - run["started_s"], steady_rate(run["commits"], run["started_s"]))


def of_start(found: Mapping[str, Any]) -> list[Goal]:
    row, ours = "first visible prediction after the command", median(found.get(OURS, ()))
    article = ratio(ours, median(found.get(ARTICLE, ())))
    return [
        at_most(row, "≤ 1/2 of article", article, 0.5, part_of(article)),
        at_most(row, "≤ 12 s", ours, 12, f"{ours:.1f} s"),
    ]


def of_landed(found: Mapping[str, Any]) -> list[Goal]:
    made = []
    for clean, name in (("archive", f"{OURS}-archive"), ("off", OURS)):
        of = found.get(name, {})
        growth = ratio(median(of.get("100000", ())), median(of.get("0", ())))
        row = f"latency with 100,000 processed files, --clean {clean}"
        made.append(at_most(row, "≤ 1.5 × that of an empty folder", growth, 1.5, times(growth)))
    return made


def of_memory(found: Mapping[str, Any]) -> list[Goal]:
    row, samples = "memory of the process tree over a 10 M row catch-up", found.get("samples", ())
    above = (max(pss for _, _, pss in samples) - found["heap"]) / MIB if samples else math.nan
    flat = flatness(samples, found.get("commits", ()))
    return [
        at_most(row, "≤ 1.5 GB above Spark's heap setting", above, 1536, f"{above:,.0f} MiB"),
        at_most(row, "flat: the last third ≤ 1.1 × the middle one", flat, 1.1, times(flat)),
    ]


def flatness(samples: Sequence[tuple[float, int, int]], commits: Sequence[tuple[float, int]]) -> float:
    """The median memory in the last third of the catching up, against that in the middle third; NaN of too few."""
    if not commits:
        return math.nan
    first, last = commits[0][0], commits[-1][0]
    third = (last - first) / 3
    middle = [pss for at, _, pss in samples if first + third <= at < first + 2 * third]
    end = [pss for at, _, pss in samples if first + 2 * third <= at <= last]
    return ratio(median(end), median(middle))


def of_idle(found: Mapping[str, Any]) -> Goal:
    share = ratio(found.get("processor_s", math.nan), found.get("seconds", math.nan))
    return at_most("idle stream", "≤ 5 % of one core", share, 0.05, f"{share:.1%}")


def of_commits(found: Mapping[str, Any]) -> Goal:
    growth, commits = ratio(median(found.get("last_s", ())), median(found.get("first_s", ()))), found.get("commits", 0)
    made = at_most("latency after 10,000 commits", "≤ 1.3 × that of the first 100", growth, 1.3, times(growth))
    return made if commits >= COMMITS else replace(made, measured=f"{made.measured} at {commits:,}", holds=None)


def part_of(value: float) -> str:
    """A ratio below 1 as a fraction."""
    return f"1/{1 / value:,.1f}" if 0 < value < 1 else times(value)
