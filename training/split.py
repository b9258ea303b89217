"""Rows to fit on, and rows held out to judge by."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from schemas.errors import FeedError
from training.data import Data

MIN_ROWS = 10


@dataclass(frozen=True, slots=True)
class Split:
    """The rows in two parts; every row is in exactly one."""

    features: pd.DataFrame
    target: pd.Series
    held_out_features: pd.DataFrame
    held_out_target: pd.Series


def held_out_rows(rows: int, ratio: float, seed: int) -> np.ndarray:
    """Which rows are held out: sorted positions (0 = the first data row), the same for equal arguments."""
    count = max(1, round(rows * ratio))
    return np.sort(np.random.default_rng(seed).permutation(rows)[:count])


def split(data: Data, ratio: float = 0.2, seed: int = 0) -> Split:
    """Hold out a share of the rows, chosen at random by `seed`.

    Raises:
        FeedError: fewer than 10 rows.
    """
    if data.rows < MIN_ROWS:
        raise FeedError(f"{data.source} has {data.rows} rows; training wants at least {MIN_ROWS}")
    out = np.zeros(data.rows, bool)
    out[held_out_rows(data.rows, ratio, seed)] = True
    return Split(data.features[~out], data.target[~out], data.features[out], data.target[out])
