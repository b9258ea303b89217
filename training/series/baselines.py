"""What a VAR or VARMAX has to be better than."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from training.series.data import SeriesData
from training.series.stationarity import difference

if TYPE_CHECKING:  # it imports mlflow, which takes seconds
    from training.series.forecast_model import Forecaster


@dataclass(frozen=True, slots=True)
class Contestant:
    """A forecaster to compare.

    Attributes:
        forecast: history (rows, k) and steps → means (steps, k), in the columns' units.
    """

    name: str
    forecast: Callable[[np.ndarray, int], np.ndarray]


def naive() -> Contestant:
    """The last observation, for every step."""
    return Contestant("naive", lambda history, steps: np.repeat(history[-1:], steps, axis=0))


def seasonal_naive(season: int) -> Contestant:
    """For each step the observation of the last season at the same place in it."""

    def forecast(history: np.ndarray, steps: int) -> np.ndarray:
        return history[-season:][np.arange(steps) % season]

    return Contestant("seasonal naive", forecast)


def of_forecaster(name: str, forecaster: "Forecaster", data: SeriesData) -> Contestant:
    """A fitted model, from windows as the stream gives it: `window_rows` long, its coefficients never fitted again."""

    def forecast(history: np.ndarray, steps: int) -> np.ndarray:
        return forecasts_after(forecaster, data, [len(history)], steps)[0, :, :, 0]

    return Contestant(name, forecast)


def forecasts_after(forecaster: "Forecaster", data: SeriesData, ends: Sequence[int], steps: int) -> np.ndarray:
    """What it forecasts after so many rows, with exogenous columns as they were last, as in the stream.

    Returns:
        (ends, steps, k, 3): mean, lower and upper bound.
    """
    rows, values = forecaster.window_rows, data.values.to_numpy()
    windows = np.stack([values[end - rows : end] for end in ends])
    names = getattr(forecaster, "exogenous", [])  # versions of 0.2.0 have none
    if not names:
        return forecaster.forecast_windows(windows, steps)
    exogenous = data.exogenous[names].to_numpy()
    known = np.stack([exogenous[end - rows : end] for end in ends])
    held = np.repeat(known[:, -1:], steps, axis=1)
    return forecaster.forecast_windows(windows, steps, np.concatenate([known, held], axis=1))


def gradient_boosting(fitted: np.ndarray, differences: tuple[int, ...], lags: int, seed: int) -> Contestant:
    """A histogram gradient boosting regressor for each column, on `lags` lags of all columns, one step after another.

    It is fitted on the same differences as the VAR (trees cannot follow a trend), and they are undone in the same way.
    """
    values = difference(fitted, differences)
    lagged = np.column_stack([values[lags - lag : len(values) - lag] for lag in range(1, lags + 1)])
    models = [HistGradientBoostingRegressor(random_state=seed).fit(lagged, column) for column in values[lags:].T]

    def forecast(history: np.ndarray, steps: int) -> np.ndarray:
        levels = history[-lags - max(differences) :]
        for _ in range(steps):
            row = difference(levels, differences)[: -lags - 1 : -1].reshape(1, -1)
            step = np.array([model.predict(row)[0] for model in models])
            levels = np.vstack([levels, _next_level(levels, step, differences)])
        return levels[-steps:]

    return Contestant("gradient boosting", forecast)


def _next_level(levels: np.ndarray, step: np.ndarray, differences: tuple[int, ...]) -> np.ndarray:
    """The row whose differences are `step`: each column's plus its last differences of every lower order."""
    carried = [sum(np.diff(levels[:, j], order)[-1] for order in range(d)) for j, d in enumerate(differences)]
    return step + np.array(carried)
