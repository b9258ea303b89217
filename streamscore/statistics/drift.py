"""How far the values of a column have moved, as one number: the population stability index."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from streamscore.statistics.profiles import ColumnProfile

BINS = 10
ROWS_PER_BIN = 10


def stability_index(before: np.ndarray, now: np.ndarray) -> float:
    """Σ (n − b) ln(n / b) over the shares b and n of rows in each bin, before and now: 0 where they are the same.

    An empty bin counts as half a row. The index and its usual limits, 0.1 and 0.25, are N. Siddiqi's, Credit Risk
    Scorecards, Wiley 2006. Of rows of one distribution it is about (bins − 1) · (1/rows before + 1/rows now) by chance:
    B. Yurdakul, Statistical Properties of Population Stability Index, 2018.
    """
    b = np.maximum(before, 0.5) / before.sum()
    n = np.maximum(now, 0.5) / now.sum()
    return float(np.sum((n - b) * np.log(n / b)))


def shift_of_rows(before: pd.Series, now: pd.Series, statistics: ColumnProfile) -> float | None:
    """The index between two parts of the same data, over the deciles of the first; null for fewer than 20 rows.

    Args:
        statistics: of `before`.
    """
    bins = _bins(len(before), len(now))
    if bins < 2:
        return None
    if statistics.kind == "text" or statistics.kind == "boolean":
        return _index_of_texts(statistics, now, bins)
    finite = before[np.isfinite(before)]
    if not len(finite):
        return stability_index(_null_counts(before), _null_counts(now))
    edges = _with_ends(np.unique(np.quantile(finite, np.linspace(0, 1, bins + 1))))
    return stability_index(_counts(before, edges), _counts(now, edges))


def shift_of_profile(before: ColumnProfile, now: pd.Series) -> float | None:
    """The index against rows of which only the statistics are left, over their histogram; null for fewer than 20 rows.

    Neighbouring bins are taken together until each has its share of the rows, else chance would rule the thin ones.
    """
    bins = _bins(before.rows, len(now))
    if bins < 2:
        return None
    if before.kind == "text" or before.kind == "boolean":
        return _index_of_texts(before, now, bins)
    if not before.edges:
        return stability_index(np.array([0, before.nulls]), _null_counts(now))
    edges = _with_ends(np.array(before.edges))
    counts = np.array([0, *before.counts, 0])
    groups = _groups(counts[1:-1], bins)
    return stability_index(
        np.append(_summed(counts, groups), before.nulls + before.not_finite), _grouped(_counts(now, edges), groups)
    )


def _bins(before: int, now: int) -> int:
    return min(BINS, min(before, now) // ROWS_PER_BIN)


def _with_ends(edges: np.ndarray) -> np.ndarray:
    """Edges for `_counts`: below the lowest and above the highest there is a bin of its own."""
    return np.concatenate([[np.nextafter(edges[0], -np.inf)], edges[1:-1], edges[-1:]])


def _counts(values: pd.Series, edges: np.ndarray) -> np.ndarray:
    """Rows in each bin (upper edge in it), then those that are null, NaN or infinite."""
    numbers = values.to_numpy("float64", na_value=np.nan)
    finite = numbers[np.isfinite(numbers)]
    counted = np.bincount(np.searchsorted(edges, finite, "left"), minlength=len(edges) + 1)
    return np.append(counted, len(numbers) - len(finite))


def _null_counts(values: pd.Series) -> np.ndarray:
    return np.array([values.notna().sum(), values.isna().sum()])


def _groups(counts: np.ndarray, bins: int) -> np.ndarray:
    """Starts of runs of neighbouring bins with at least 1 / `bins` of all rows each."""
    starts, together = [0], 0
    for at, count in enumerate(counts[:-1], 1):
        together += int(count)
        if together >= counts.sum() / bins and counts[at:].sum() >= counts.sum() / bins:
            starts.append(at)
            together = 0
    return np.array(starts)


def _summed(counts: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The bins of each group as one; the first and the last bin stay by themselves."""
    return np.concatenate([counts[:1], np.add.reduceat(counts[1:-1], groups), counts[-1:]])


def _grouped(counted: np.ndarray, groups: np.ndarray) -> np.ndarray:
    return np.append(_summed(counted[:-1], groups), counted[-1])


def _index_of_texts(before: ColumnProfile, now: pd.Series, bins: int) -> float:
    counted = pc.value_counts(pa.array(now, from_pandas=True).cast(pa.string()))
    there = dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))
    known = [there.get(value, 0) for value, _ in before.values]
    was = np.array([*(count for _, count in before.values), before.rest])
    rest = len(now) - there.get(None, 0) - sum(known)
    groups = _groups(was, bins)
    return stability_index(
        np.append(np.add.reduceat(was, groups), before.nulls),
        np.append(np.add.reduceat(np.array([*known, rest]), groups), there.get(None, 0)),
    )
