"""How far off a model is on rows it has not seen."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.pipeline import Pipeline

from training.split import Split


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval of a metric."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Slice:
    """The held-out rows with one value in one column; `value` as it is shown."""

    column: str
    value: str
    rows: int
    metrics: dict[str, float]
    baseline: dict[str, float]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model on the held-out rows, beside always predicting the fitted rows' mean."""

    metrics: dict[str, float]
    baseline: dict[str, float]
    intervals: dict[str, Interval]
    slices: tuple[Slice, ...]


def evaluate(model: Pipeline, split: Split) -> dict[str, float]:
    """Errors on the held-out rows in the target's unit, beside those of always predicting the fitted rows' mean.

    Returns:
        rmse, mae, r2, baseline_rmse, baseline_mae.
    """
    mean = np.full(len(split.held_out_target), split.target.mean())
    found = errors(split.held_out_target, model.predict(split.held_out_features))
    baseline = errors(split.held_out_target, mean)
    return found | {"baseline_rmse": baseline["rmse"], "baseline_mae": baseline["mae"]}


def errors(actual: pd.Series | np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Errors: rmse and mae in the target's unit, r2 without one (0 = no better than the mean, 1 = exact)."""
    return {
        "rmse": float(root_mean_squared_error(actual, predicted)),
        "mae": float(mean_absolute_error(actual, predicted)),
        "r2": float(r2_score(actual, predicted)),
    }
