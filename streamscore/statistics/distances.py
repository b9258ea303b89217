"""How far two sketches of a column are from each other, in numbers that are shown and decide nothing."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamscore.statistics.drift import BINS, ROWS_PER_BIN, stability_index
from streamscore.statistics.sketches import ColumnSketch


@dataclass(frozen=True, slots=True)
class Distances:
    """Null where there is no such number for the kind of column, or not enough rows.

    Attributes:
        psi: the population stability index less what it is by chance for these rows, so about 0 without drift.
        wasserstein: between numbers, in standard deviations of the rows before.
        jensen_shannon: the distance, 0 to 1, over the same bins as the index.
    """

    psi: float | None = None
    wasserstein: float | None = None
    jensen_shannon: float | None = None


NONE = Distances()


def distances_of_numbers(before: ColumnSketch, now: ColumnSketch) -> Distances:
    """Over the deciles of the rows before; fewer bins where a bin would have fewer than 10 rows."""
    bins = min(BINS, min(before.known, now.known) // ROWS_PER_BIN)
    with np.errstate(over="ignore"):
        moved = float(np.abs(np.array(before.quantiles) - np.array(now.quantiles)).mean())
    wasserstein = moved / before.std if before.std and math.isfinite(moved / before.std) else None
    if bins < 2:
        return Distances(wasserstein=wasserstein)
    edges = np.unique(np.quantile(before.quantiles, np.arange(1, bins) / bins, method="inverted_cdf"))
    was, has = (_counts(of, edges) for of in (before, now))
    return _over_bins(was, has, wasserstein)


def distances_of_values(before: dict[Any, int], now: dict[Any, int]) -> Distances:
    """Over the classes."""
    names = list(before | now)
    was, has = (np.array([of.get(name, 0) for name in names], np.float64) for of in (before, now))
    return _over_bins(was, has, None) if min(was.sum(), has.sum()) >= 2 * ROWS_PER_BIN else NONE


def _counts(of: ColumnSketch, edges: np.ndarray) -> np.ndarray:
    """Rows up to each edge, that edge included, and above the last."""
    inside = np.bincount(np.searchsorted(edges, of.quantiles, "left"), minlength=len(edges) + 1)
    return inside * (of.known / len(of.quantiles))


def _over_bins(was: np.ndarray, has: np.ndarray, wasserstein: float | None) -> Distances:
    from scipy.spatial.distance import jensenshannon

    by_chance = (np.count_nonzero(was + has) - 1) * (1 / was.sum() + 1 / has.sum())
    there = was + has > 0
    psi = stability_index(was[there], has[there]) - float(by_chance)
    return Distances(psi, wasserstein, float(jensenshannon(was[there], has[there], base=2)))
