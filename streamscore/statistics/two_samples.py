"""Whether two sets of rows are of one distribution: a test for numbers, one for values, one for shares.

Each gives an effect between 0 and 1 that does not grow with the number of rows, and the probability of such an effect
or a larger one where nothing changed.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from streamscore.statistics.sketches import ColumnSketch

EXPECTED = 5.0  # rows that chi-square wants of a class: W. G. Cochran, Some Methods for Strengthening χ² Tests, 1954
CONFIDENCE = 0.95

Method = Literal["ks", "chi2", "exact"]


@dataclass(frozen=True, slots=True)
class TwoSamples:
    """What a test says.

    Attributes:
        effect: how far apart they are.
        low, high: the 95 % interval of the effect, of shares with the sign of the change; null: chi-square has none.
        p: of this effect or a larger one by chance.
    """

    method: Method
    effect: float
    p: float
    low: float | None = None
    high: float | None = None


def kolmogorov_smirnov(before: ColumnSketch, now: ColumnSketch) -> TwoSamples:
    """Numbers: D, the largest difference between the shares of rows at or below any value, to within 0.5 %.

    p is exact for one sample of n·m/(n + m) rows, as `scipy.stats.ks_2samp` has it for many rows; equal values make it
    larger than it is. The interval is by the inequality of Dvoretzky, Kiefer and Wolfowitz with the constant of
    P. Massart, The Annals of Probability 18(3), 1990, for the same number of rows.

    Args:
        before, now: with a known row each.
    """
    from scipy.stats import kstwo

    values = np.concatenate([before.quantiles, now.quantiles])
    one, other = (np.searchsorted(of.quantiles, values, "right") / len(of.quantiles) for of in (before, now))
    distance = float(np.abs(one - other).max())
    rows = max(1, round(before.known * now.known / (before.known + now.known)))
    margin = math.sqrt(math.log(2 / (1 - CONFIDENCE)) / (2 * rows))
    p = float(kstwo.sf(distance, rows))
    return TwoSamples("ks", distance, p, max(0.0, distance - margin), min(1.0, distance + margin))


def homogeneity(before: dict[Any, int], now: dict[Any, int]) -> TwoSamples:
    """Values: chi-square of the counts of each; of two classes the exact test.

    Classes with fewer than 5 expected rows are pooled, the most frequent first, until each pool has as many. What is
    left is held against all others together by the exact test; the smaller p counts, twice. Chi-square with so small a
    class is wrong by orders of magnitude at the p that matter here, and a large class that takes it in hides it. The
    effect is Cramér's V as it would be with as many
    rows before as now, √(½ Σ (p − q)² / (p + q)) over the shares p and q: with unequal numbers V itself is small
    whatever changed, as 0.09 for 50 % that became 80 % of 100 rows beside 4,000.

    Args:
        before, now: rows by class, at least one in each.
    """
    from scipy.stats import chi2_contingency

    names = list(before | now)
    counts = np.array([[of.get(name, 0) for name in names] for of in (before, now)], np.int64)
    counts = counts[:, counts.sum(axis=0) > 0]
    p, q = counts / counts.sum(axis=1, keepdims=True)
    effect = math.sqrt(float(((p - q) ** 2 / (p + q)).sum()) / 2)
    classes, rare = _pooled(counts)
    found: list[float] = []
    method: Method = "exact"
    if classes.shape[1] > 2:
        method = "chi2"
        found.append(float(chi2_contingency(classes, correction=False).pvalue))
    elif classes.shape[1] == 2:
        found.append(two_proportions(*_one_of(classes)).p)
    if rare.any() and classes.any():
        found.append(two_proportions(*_one_of(np.column_stack([rare, classes.sum(axis=1)]))).p)
    return TwoSamples(method, effect, min([1.0, *(len(found) * p for p in found)]))


def _pooled(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Classes with enough expected rows each, made of several where they are small; and the rarest, too few for one."""
    per_row = counts.sum(axis=1).min() / counts.sum()
    made: list[np.ndarray] = []
    pool = np.zeros(2, np.int64)
    for at in np.argsort(-counts.sum(axis=0), kind="stable"):
        pool = pool + counts[:, at]
        if pool.sum() * per_row >= EXPECTED:
            made.append(pool)
            pool = np.zeros(2, np.int64)
    return np.array(made, np.int64).reshape(-1, 2).T, pool


def _one_of(two: np.ndarray) -> tuple[int, int, int, int]:
    """Rows of the first class, and of both, before and now."""
    (hits, rest), (hits_now, rest_now) = two.tolist()
    return hits, hits + rest, hits_now, hits_now + rest_now


def two_proportions(before: int, rows_before: int, now: int, rows_now: int) -> TwoSamples:
    """Shares: R. A. Fisher's exact test, two-sided. The effect is the difference of the shares without its sign.

    The interval is of now − before: R. G. Newcombe, Statistics in Medicine 17, 1998, method 10.
    """
    from scipy.stats import fisher_exact

    p = float(fisher_exact([[before, rows_before - before], [now, rows_now - now]]).pvalue)
    share_before, share_now = before / rows_before, now / rows_now
    (low_before, high_before), (low_now, high_now) = _wilson(before, rows_before), _wilson(now, rows_now)
    change = share_now - share_before
    down = math.hypot(share_now - low_now, high_before - share_before)
    up = math.hypot(high_now - share_now, share_before - low_before)
    return TwoSamples("exact", abs(change), p, change - down, change + up)


def _wilson(hits: int, rows: int) -> tuple[float, float]:
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share, around = hits / rows, z * z / rows
    middle = (share + around / 2) / (1 + around)
    margin = z / (1 + around) * math.sqrt(share * (1 - share) / rows + around / (4 * rows))
    return max(0.0, middle - margin), min(1.0, middle + margin)
