"""The lag order of a VAR, by an information criterion."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from schemas.errors import FeedError, SettingsError
from training.series.fit import scale_of
from training.settings import Series as SeriesSettings

CRITERIA = ("aic", "bic", "hqic", "fpe")


@dataclass(frozen=True, slots=True)
class LagOrder:
    """What was chosen, and from what.

    Attributes:
        lags: with the least value of `criterion`, at least 1.
        table: criterion → its value at 1, 2, … lags, all on the same rows (Lütkepohl 2005, section 4.3).
    """

    lags: int
    criterion: str
    table: dict[str, tuple[float, ...]]

    def best(self, criterion: str) -> int:
        """The lags that this criterion would choose."""
        return int(np.argmin(self.table[criterion])) + 1


def assert_enough(
    rows: int, columns: int, settings: SeriesSettings, p: int = 0, q: int = 0, regressors: int = 0
) -> None:
    """Refuse fewer rows to fit on than all lags and differences tried would leave degrees of freedom for.

    A VARMA(p, q) of k columns and m regressors has k·(p + q) + 1 + m coefficients an equation and k variances, and
    loses p + d rows; its window and one season must fit in as well.

    Raises:
        FeedError: says how many there are, and how many are wanted.
    """
    from training.series.forecast_model import FILTERED_ROWS

    orders, lost = max(p + q, settings.max_lags), settings.max_differences
    wanted = max(
        lost + orders + columns * (orders + 1) + 1 + regressors, lost + orders + FILTERED_ROWS * q, settings.season
    )
    if rows < wanted:
        msg = (
            f"{rows} rows to fit {columns} columns with up to {orders} lags and {lost} differences on, wanted at least "
            f"{wanted}; give more rows, or lower series.max_lags"
        )
        raise FeedError(msg)


def assert_independent(values: np.ndarray, names: list[str]) -> None:
    """Refuse differenced columns of which one is a sum of others: their covariance cannot be inverted.

    Raises:
        FeedError: names the columns.
    """
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    if np.linalg.matrix_rank(scaled, tol=1e-8 * np.sqrt(scaled.size)) < scaled.shape[1]:
        msg = (
            f"series columns {', '.join(names)} are linearly dependent: one says nothing beyond the others; "
            f"leave it out of series.columns"
        )
        raise FeedError(msg)


def choose_lags(values: np.ndarray, settings: SeriesSettings, exogenous: np.ndarray | None = None) -> LagOrder:
    """The order of a VAR on stationary values, of 1 to `max_lags`.

    The criteria are those of the values as they are: log |S| of scaled ones is less by twice the logs of the scales.
    """
    from statsmodels.tsa.api import VAR

    scale = scale_of(values)
    by = exogenous / scale_of(exogenous) if exogenous is not None and exogenous.shape[1] else None
    found = VAR(values / scale, exog=by).select_order(settings.max_lags, trend="c").ics
    less = 2 * float(np.log(scale).sum())
    # statsmodels starts at no lags, which is no VAR
    table = {name: tuple(float(value) + less for value in found[name][-settings.max_lags :]) for name in CRITERIA}
    table["fpe"] = tuple(float(value * np.exp(less)) for value in found["fpe"][-settings.max_lags :])
    order = LagOrder(0, settings.criterion, table)
    return LagOrder(order.best(settings.criterion), settings.criterion, table)


def given_order(name: str, parameters: dict[str, Any]) -> dict[str, int]:
    """The `p` and `q` that the settings give an estimator.

    Raises:
        SettingsError: a parameter it does not have, or one that is no whole number of that size.
    """
    known = {"var": {"p": 1}, "varmax": {"p": 0, "q": 0}}[name]
    for key, value in parameters.items():
        if key not in known or isinstance(value, bool) or not isinstance(value, int) or value < known[key]:
            raise SettingsError(
                f"estimator.parameters has {key}: {value!r}; {name} takes "
                + ", ".join(f"{k} (a whole number from {least})" for k, least in known.items())
            )
    if parameters == {"p": 0, "q": 0}:
        msg = "estimator.parameters has p: 0 and q: 0, which forecasts nothing; give one of them"
        raise SettingsError(msg)
    return parameters
