"""How often each column has to be differenced before it is stationary."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from schemas.errors import FeedError
from training.settings import Series as SeriesSettings

ROUNDING = 4  # in units of the last place of the largest value, for each difference twice as many


@dataclass(frozen=True, slots=True)
class ColumnTest:
    """The augmented Dickey-Fuller tests of one column.

    Attributes:
        p_values: that it has a unit root, as it is and after each difference tried.
        differences: how many it is modelled with.
        stationary: the last test rejects the unit root; if not, no more differences were allowed.
    """

    column: str
    p_values: tuple[float, ...]
    differences: int
    stationary: bool


def unit_root_tests(values: pd.DataFrame, settings: SeriesSettings) -> tuple[ColumnTest, ...]:
    """Test each column of rows to fit on, and difference it until the unit root is rejected at `alpha`.

    Raises:
        FeedError: a column is constant once it is differenced.
    """
    return tuple(_test(str(name), values[name].to_numpy(), settings) for name in values)


def _test(name: str, column: np.ndarray, settings: SeriesSettings) -> ColumnTest:
    from statsmodels.tsa.stattools import adfuller

    # before any test: its statistic is a division of two rounding errors on an exact line
    for times in range(1, max(1, settings.max_differences) + 1):
        if np.ptp(np.diff(column, times)) <= ROUNDING * 2**times * np.spacing(np.abs(column).max()):
            msg = (
                f"series column '{name}' is constant after {times} differences: exactly a line, which needs no model; "
                f"leave it out of series.columns"
            )
            raise FeedError(msg)
    p_values: list[float] = []
    for times in range(settings.max_differences + 1):
        values = np.diff(column, times)
        # changes no statistic; beside values of 1e16 the test would take its own constant for nothing
        values = (values - values.mean()) / values.std()
        p_values.append(float(adfuller(values, autolag="AIC", result_object=True).pvalue))
        if p_values[-1] < settings.alpha:
            return ColumnTest(name, tuple(p_values), times, True)
    return ColumnTest(name, tuple(p_values), settings.max_differences, False)


def difference(values: np.ndarray, differences: Sequence[int]) -> np.ndarray:
    """Each column (axis 1) differenced as often as it says; the first `max(differences)` rows are gone in all."""
    most = max(differences, default=0)
    columns = [np.diff(values[:, j], times)[most - times :] for j, times in enumerate(differences)]
    return np.column_stack(columns)
