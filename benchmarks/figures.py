"""Quantiles, spreads and ratios: numbers in, numbers or their text out."""

import math
import statistics
from collections.abc import Sequence


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed; NaN of none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def median(values: Sequence[float]) -> float:
    """The median; NaN of none."""
    return statistics.median(values) if values else math.nan


def ratio(one: float, other: float) -> float:
    """One against the other; NaN where that means nothing."""
    return one / other if other and not math.isnan(other) else math.nan


def milliseconds(seconds: float) -> str:
    """As a table has it."""
    return "–" if math.isnan(seconds) else f"{1000 * seconds:,.0f} ms" if seconds < 10 else f"{seconds:,.0f} s"


def times(value: float) -> str:
    """A ratio, as a table has it."""
    if math.isnan(value):
        return "–"
    if 0 < value < 0.1:
        return f"1/{1 / value:,.0f}"
    return f"{value:,.0f} ×" if value >= 10 else f"{value:.2f} ×"


def steady_rate(commits: Sequence[tuple[float, int]], begun: float) -> float:
    """Rows a second after the first commit; of a single commit, since `begun`; NaN of none.

    Args:
        commits: seconds and rows of each, in order.
        begun: seconds when the contestant began to look for files.
    """
    if not commits:
        return math.nan
    first, last = commits[0][0], commits[-1][0]
    rows = sum(count for _, count in commits[1:]) if last > first else sum(count for _, count in commits)
    return ratio(rows, last - first if last > first else last - begun)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
