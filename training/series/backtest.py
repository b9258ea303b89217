"""Forecasters compared: each forecasts from the same rolling origins, and is held against what came."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from schemas.errors import FeedError
from training.series.baselines import Contestant, forecasts_after
from training.series.data import SeriesData

if TYPE_CHECKING:  # it imports mlflow, which takes seconds
    from training.series.forecast_model import Forecaster

NAIVE = "naive"


@dataclass(frozen=True, slots=True)
class Errors:
    """One forecaster's errors in the columns' units.

    Attributes:
        rmse, mae: over all origins, a row for each step, a value for each column.
    """

    name: str
    rmse: tuple[tuple[float, ...], ...]
    mae: tuple[tuple[float, ...], ...]

    @property
    def column_rmse(self) -> tuple[float, ...]:
        """Over all steps, for each column."""
        return tuple(float(value) for value in np.sqrt((np.array(self.rmse) ** 2).mean(axis=0)))

    @property
    def column_mae(self) -> tuple[float, ...]:
        """Over all steps, for each column."""
        return tuple(float(value) for value in np.array(self.mae).mean(axis=0))


@dataclass(frozen=True, slots=True)
class Backtest:
    """All forecasters from the same origins; one of them is `naive`.

    Attributes:
        origins: the last time that each forecast knew.
        columns: as the errors' columns.
        judged: whether the column has more than one value after the origins; one that has not is forecast by naive
            without error, so that its errors have no unit, and does not count in `rmse` and `mae`.
    """

    origins: tuple[str, ...]
    columns: tuple[str, ...]
    errors: tuple[Errors, ...]
    judged: tuple[bool, ...]

    def of(self, name: str) -> Errors:
        """One forecaster's."""
        return next(errors for errors in self.errors if errors.name == name)

    def ratios(self, name: str) -> tuple[float, ...]:
        """Its rmse over that of the naive forecast, for each column that is judged; below 1 is better."""
        return self._in_units_of_naive(self.of(name).column_rmse, self.of(NAIVE).column_rmse)

    def metrics(self, name: str) -> dict[str, float]:
        """One forecaster's figures for a gate.

        Returns:
            rmse, mae: mean over the judged columns of the error in units of the naive forecast's: 1 is as good;
            baseline_rmse, baseline_mae: the naive forecast's own, so 1; `rmse_<column>`, `mae_<column>`,
            `baseline_rmse_<column>`: in the column's unit.
        """
        own, naive = self.of(name), self.of(NAIVE)
        mae = self._in_units_of_naive(own.column_mae, naive.column_mae)
        metrics = {"rmse": float(np.mean(self.ratios(name))), "mae": float(np.mean(mae))}
        metrics |= {"baseline_rmse": 1.0, "baseline_mae": 1.0}
        for j, column in enumerate(self.columns):
            metrics[f"rmse_{column}"] = own.column_rmse[j]
            metrics[f"mae_{column}"] = own.column_mae[j]
            metrics[f"baseline_rmse_{column}"] = naive.column_rmse[j]
        return metrics

    def table(self) -> pd.DataFrame:
        """A row for each forecaster, the best first: the rmse of each column, and the mean of its ratios to naive."""
        rows = {
            errors.name: {**dict(zip(self.columns, errors.column_rmse, strict=True)), "to naive": mean}
            for errors in self.errors
            for mean in [float(np.mean(self.ratios(errors.name)))]
        }
        return pd.DataFrame.from_dict(rows, orient="index").sort_values("to naive", kind="stable")

    def to_json(self) -> dict[str, Any]:
        """All of it, and the ratios to naive."""
        return asdict(self) | {"to_naive": {errors.name: self.ratios(errors.name) for errors in self.errors}}

    def _in_units_of_naive(self, found: Sequence[float], naive: Sequence[float]) -> tuple[float, ...]:
        columns = zip(found, naive, self.judged, strict=True)
        return tuple(own / unit for own, unit, is_judged in columns if is_judged)


def backtest(
    values: pd.DataFrame, fitted_rows: int, steps: int, origins: int, contestants: Sequence[Contestant]
) -> Backtest:
    """Forecast `steps` rows from origins spread evenly over the held-out rows, each forecaster from the same rows.

    The first origin is the last fitted row. Coefficients stay those of the fitted rows; an origin gives each forecaster
    all rows up to it.

    Raises:
        FeedError: fewer held-out rows than steps, or rows that have one value in every column.
    """
    actual = values.to_numpy()
    ends = origin_rows(len(actual), fitted_rows, steps, origins)
    future = np.stack([actual[end : end + steps] for end in ends])
    last = actual[np.array(ends) - 1][:, np.newaxis]
    judged = tuple(map(bool, (np.ptp(future, axis=(0, 1)) > 0) & (future != last).any(axis=(0, 1))))
    if not any(judged):
        msg = (
            f"all columns have one value in the {len(actual) - fitted_rows} held-out rows, by which no forecast can be "
            f"judged; raise split.held_out"
        )
        raise FeedError(msg)
    errors = []
    for contestant in contestants:
        wrong = np.stack([contestant.forecast(actual[:end], steps) for end in ends]) - future
        errors.append(Errors(contestant.name, _rows(np.sqrt((wrong**2).mean(axis=0))), _rows(abs(wrong).mean(axis=0))))
    times = tuple(str(values.index[end - 1]) for end in ends)
    return Backtest(times, tuple(map(str, values.columns)), tuple(errors), judged)


def bounds_coverage(data: SeriesData, fitted_rows: int, origins: int, forecaster: "Forecaster") -> float:
    """The share of held-out values that lie between the bounds of forecasts from the same origins."""
    actual, steps = data.values.to_numpy(), forecaster.steps
    ends = origin_rows(len(actual), fitted_rows, steps, origins)
    forecasts = forecasts_after(forecaster, data, ends, steps)
    future = np.stack([actual[end : end + steps] for end in ends])
    return float(((forecasts[..., 1] <= future) & (future <= forecasts[..., 2])).mean())


def origin_rows(rows: int, fitted_rows: int, steps: int, origins: int) -> list[int]:
    """How many rows each origin knows, increasing; as many as there is room for.

    Raises:
        FeedError: fewer held-out rows than steps.
    """
    if rows - fitted_rows < steps:
        msg = (
            f"{rows - fitted_rows} of {rows} rows are held out, fewer than the {steps} steps of a forecast; "
            f"raise split.held_out or lower series.steps"
        )
        raise FeedError(msg)
    last = rows - steps
    return np.unique(np.linspace(fitted_rows, last, min(origins, last - fitted_rows + 1)).round().astype(int)).tolist()


def _rows(array: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in row) for row in array)
