"""The registered forecaster: a VAR or VARMA in numpy, logged as MLflow "model from code" with two data files.

Needs numpy, pandas and mlflow, none of our code, and no pickle. The model, for differenced columns w and white noise u:

    w[t] = c + A1 w[t-1] + … + Ap w[t-p] + u[t] + M1 u[t-1] + … + Mq u[t-q],   u ~ N(0, S)

Its state is x = (w[t], …, w[t-p+1], u[t], …, u[t-q+1]). Without a moving average (q = 0) the last p rows are the state.
With one, what the rows say of u is filtered (Durbin and Koopman 2012, section 4.3) from the stationary distribution on,
as statsmodels' VARMAX does: given the whole history, these are its numbers.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel

FILTERED_ROWS = 10  # beyond the lags, for each order of the moving average; what that costs: docs/series.md


@dataclass(frozen=True, slots=True)
class Coefficients:
    """The model of k columns, on differenced values in the columns' units.

    Attributes:
        intercept: c, (k,).
        ar: A1 … Ap, (p, k, k).
        ma: M1 … Mq, (q, k, k).
        covariance: S, (k, k).
        differences: of each column, (k,) whole numbers.
    """

    intercept: np.ndarray
    ar: np.ndarray
    ma: np.ndarray
    covariance: np.ndarray
    differences: np.ndarray

    @property
    def lags(self) -> int:
        """Rows of w in the state: p, at least 1."""
        return max(1, len(self.ar))

    def in_units(self, units: np.ndarray) -> "Coefficients":
        """The same model of values divided by these, (k,)."""
        ratio = units / units[:, np.newaxis]
        covariance = self.covariance / np.outer(units, units)
        return Coefficients(self.intercept / units, self.ar * ratio, self.ma * ratio, covariance, self.differences)

    @property
    def transition(self) -> np.ndarray:
        """The state's next mean is `transition @ state`, the intercept added to its first k numbers."""
        k, p, q = len(self.intercept), self.lags, len(self.ma)
        matrix = np.zeros(((p + q) * k, (p + q) * k))
        for block, weights in enumerate(self.ar):
            matrix[:k, block * k : (block + 1) * k] = weights
        for block, weights in enumerate(self.ma, start=p):
            matrix[:k, block * k : (block + 1) * k] = weights
        matrix[k : p * k, : (p - 1) * k] = np.eye((p - 1) * k)
        if q:
            matrix[(p + 1) * k :, p * k : -k] = np.eye((q - 1) * k)
        return matrix

    @property
    def selection(self) -> np.ndarray:
        """Where new noise enters the state: in w[t] and u[t]."""
        k, p, q = len(self.intercept), self.lags, len(self.ma)
        matrix = np.zeros(((p + q) * k, k))
        matrix[:k] = np.eye(k)
        if q:
            matrix[p * k : (p + 1) * k] = np.eye(k)
        return matrix


@dataclass(frozen=True, slots=True)
class Forecaster:
    """Forecasts with bounds from a window of observations, in the columns' own units.

    Attributes:
        endogenous: names of the k columns.
        time: name of the time column.
        steps: forecast where the caller does not say.
        coverage: probability between the bounds; what is not known of the coefficients is not in it.
    """

    coefficients: Coefficients
    endogenous: list[str]
    time: str
    steps: int
    coverage: float

    @property
    def window_rows(self) -> int:
        """The rows that a window has at least: lags and differences, and some to filter by if there is an average."""
        c = self.coefficients
        return c.lags + int(c.differences.max()) + FILTERED_ROWS * len(c.ma)

    def forecast_windows(self, windows: np.ndarray, steps: int) -> np.ndarray:
        """Forecasts after each of n windows of the same length.

        Args:
            windows: doubles, (n, rows, k), rows in order of time, at least `window_rows`; all of them are used.
            steps: 1 or more.

        Returns:
            (n, steps, k, 3): mean, lower and upper bound.

        Raises:
            ValueError: another shape, or a value that is NaN or infinite.
        """
        k = len(self.endogenous)
        if windows.ndim != 3 or windows.shape[1] < self.window_rows or windows.shape[2] != k or steps < 1:
            msg = (
                f"windows of shape {windows.shape} and {steps} steps; wanted (n, {self.window_rows} rows or more, {k}) "
                f"of {', '.join(self.endogenous)} and 1 step or more"
            )
            raise ValueError(msg)
        if not np.isfinite(windows).all():
            msg = "a window holds a value that is null, NaN or infinite; wanted numbers only"
            raise ValueError(msg)
        # in units of the noise: matrices of columns of 1e16 beside 1e-2 cannot be inverted
        units = np.sqrt(np.diag(self.coefficients.covariance))
        units = np.where(units > 0, units, 1.0)
        c = self.coefficients.in_units(units)
        state, unknown = _state(c, self._differenced(windows) / units)
        mean, transition = np.empty((len(windows), steps, k)), c.transition
        for step in range(steps):
            state = state @ transition.T
            state[:, :k] += c.intercept
            mean[:, step] = state[:, :k] * units
        mean = self._undo_differences(mean, windows)
        half = NormalDist().inv_cdf(0.5 + self.coverage / 2) * np.sqrt(_variance(c, unknown, steps)) * units
        return np.stack([mean, mean - half, mean + half], axis=-1)

    def save(self, folder: Path) -> dict[str, str]:
        """Write the arrays and the rest into a folder; returns the two files by artifact name."""
        arrays, rest = folder / "coefficients.npz", folder / "forecaster.json"
        np.savez(arrays, **asdict(self.coefficients))
        about = {"endogenous": self.endogenous, "time": self.time, "steps": self.steps, "coverage": self.coverage}
        rest.write_text(json.dumps(about | {"window_rows": self.window_rows}, indent=1), encoding="utf-8")
        return {"coefficients": str(arrays), "forecaster": str(rest)}

    @classmethod
    def load(cls, files: Mapping[str, str]) -> "Forecaster":
        """The forecaster in two files that `save` wrote; nothing in them is run."""
        about = json.loads(Path(files["forecaster"]).read_text(encoding="utf-8"))
        with np.load(files["coefficients"], allow_pickle=False) as arrays:
            coefficients = Coefficients(**{name: arrays[name] for name in arrays.files})
        return cls(coefficients, about["endogenous"], about["time"], about["steps"], about["coverage"])

    def _differenced(self, windows: np.ndarray) -> np.ndarray:
        times = self.coefficients.differences
        columns = [np.diff(windows[:, :, j], int(d))[:, times.max() - d :] for j, d in enumerate(times)]
        return np.stack(columns, axis=-1)

    def _undo_differences(self, mean: np.ndarray, windows: np.ndarray) -> np.ndarray:
        for j, times in enumerate(self.coefficients.differences):
            for order in reversed(range(times)):
                last = np.diff(windows[:, -1 - order :, j], order)[:, -1:]
                mean[:, :, j] = last + np.cumsum(mean[:, :, j], axis=1)
        return mean


def _state(c: Coefficients, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """After a window's last row: the state's mean (n, m), and the covariance of what is not known of it (m, m)."""
    n, rows, k = values.shape
    if not len(c.ma):
        return values[:, : -c.lags - 1 : -1].reshape(n, -1), np.zeros((c.lags * k, c.lags * k))
    transition, noise = c.transition, c.selection @ c.covariance @ c.selection.T
    size = len(transition)
    intercept = np.zeros(size)
    intercept[:k] = c.intercept
    # stationary: mean = F mean + c, and P = F P F' + Q (Lütkepohl 2005, section 2.1.4)
    mean = np.tile(np.linalg.solve(np.eye(size) - transition, intercept), (n, 1))
    stationary = np.linalg.solve(np.eye(size**2) - np.kron(transition, transition), noise.ravel())
    covariance = stationary.reshape(size, size)
    for row in range(rows):
        # the covariance does not depend on the values: one gain for all windows
        gain = np.linalg.solve(covariance[:k, :k], covariance[:k]).T
        mean += (values[:, row] - mean[:, :k]) @ gain.T
        covariance = covariance - gain @ covariance[:k]
        if row < rows - 1:
            mean = mean @ transition.T + intercept
            covariance = transition @ covariance @ transition.T + noise
    return mean, covariance


def _variance(c: Coefficients, unknown: np.ndarray, steps: int) -> np.ndarray:
    """Of the forecast errors in the columns' units, (steps, k).

    The error of w after h steps is the sum of Psi(i) u[h-i], i < h, with the weights Psi of the moving average
    representation (Lütkepohl 2005, equation 2.2.10), and of Z F^h times what is not known of the state. A column
    that was differenced once has the errors' running sum, so the running sum over i of its rows of Psi for weights
    (ibid., section 6.5); twice, the sum of that. Then the variance is the diagonal of the sum of Psi(i) S Psi(i)'.
    """
    k = len(c.intercept)
    power, psi, drift = np.eye(len(unknown)), [], []
    for _ in range(steps):
        psi.append((power @ c.selection)[:k])
        power = c.transition @ power
        drift.append(power[:k])
    weights, carried = np.array(psi), np.array(drift)
    for j, times in enumerate(c.differences):
        for _ in range(times):
            weights[:, j] = np.cumsum(weights[:, j], axis=0)
            carried[:, j] = np.cumsum(carried[:, j], axis=0)
    of_noise = np.einsum("hja,ab,hjb->hj", weights, c.covariance, weights).cumsum(axis=0)
    # filtering ends in a covariance that rounding may leave a hair below nothing
    return of_noise + np.maximum(np.einsum("hja,ab,hjb->hj", carried, unknown, carried), 0.0)


class ForecastModel(PythonModel):
    """What MLflow loads; `forecaster` has `forecast_windows`, for many windows at once."""

    forecaster: Forecaster

    def load_context(self, context: Any) -> None:
        self.forecaster = Forecaster.load(context.artifacts)

    @property
    def window_rows(self) -> int:
        """The rows that a window has at least."""
        return self.forecaster.window_rows

    @property
    def endogenous(self) -> list[str]:
        """The columns that are forecast."""
        return self.forecaster.endogenous

    def forecast_windows(self, windows: np.ndarray, steps: int) -> np.ndarray:
        """As `Forecaster.forecast_windows`."""
        return self.forecaster.forecast_windows(windows, steps)

    def predict(
        self,
        context: Any,  # noqa: ARG002  MLflow's signature
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Forecast what follows a window.

        Args:
            context: not used.
            model_input: rows in order of time, the endogenous columns by name; the time column may be there.
            params: `steps`.

        Returns:
            `step` 1, 2, …, and for each column its mean, `<name>_lower` and `<name>_upper`.

        Raises:
            ValueError: too few rows, a value that is no finite number, or times that do not increase.
        """
        made = self.forecaster
        steps = int((params or {}).get("steps") or made.steps)
        if made.time in model_input and not model_input[made.time].is_monotonic_increasing:
            msg = f"the window's '{made.time}' does not increase; put its rows in order of time"
            raise ValueError(msg)
        window = model_input[made.endogenous].to_numpy(np.float64)
        forecast = made.forecast_windows(window[np.newaxis], steps)[0]
        columns: dict[str, np.ndarray] = {"step": np.arange(1, steps + 1)}
        for j, name in enumerate(made.endogenous):
            for at, bound in enumerate(("", "_lower", "_upper")):
                columns[name + bound] = forecast[:, j, at]
        return pd.DataFrame(columns)


mlflow.models.set_model(ForecastModel())
