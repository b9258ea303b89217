"""The registered forecaster: a VAR or VARMA in numpy, logged as MLflow "model from code" with two data files.

Needs numpy, pandas and mlflow, none of our code, and no pickle. The model, for differenced columns w and white noise u:

    w[t] = c + A1 w[t-1] + … + Ap w[t-p] + B x[t] + u[t] + M1 u[t-1] + … + Mq u[t-q],   u ~ N(0, S)

where x are exogenous columns, differenced on their own. Its state is (w[t], …, w[t-p+1], u[t], …, u[t-q+1]). Without a
moving average (q = 0) the last p rows are the state. With one, what the rows say of u is filtered (Durbin and Koopman
2012, section 4.3) from the stationary distribution on, as statsmodels' VARMAX does: given the whole history, these are
its numbers.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
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
        exogenous: B, (k, m).
        exogenous_differences: of each exogenous column, (m,) whole numbers.
    """

    intercept: np.ndarray
    ar: np.ndarray
    ma: np.ndarray
    covariance: np.ndarray
    differences: np.ndarray
    exogenous: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    exogenous_differences: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def lags(self) -> int:
        """Rows of w in the state: p, at least 1."""
        return max(1, len(self.ar))

    def in_units(self, units: np.ndarray) -> "Coefficients":
        """The same model of values divided by these, (k,)."""
        ratio = units / units[:, np.newaxis]
        covariance, by = self.covariance / np.outer(units, units), self.exogenous.reshape(len(units), -1)
        made = replace(self, intercept=self.intercept / units, ar=self.ar * ratio, ma=self.ma * ratio)
        return replace(made, covariance=covariance, exogenous=by / units[:, np.newaxis])

    @property
    def lost(self) -> int:
        """Rows of a window that its differences take."""
        return int(max([*self.differences, *self.exogenous_differences]))

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
        exogenous: names of the m columns that it forecasts by.
    """

    coefficients: Coefficients
    endogenous: list[str]
    time: str
    steps: int
    coverage: float
    exogenous: list[str] = field(default_factory=list)

    @property
    def window_rows(self) -> int:
        """The rows that a window has at least: lags and differences, and some to filter by if there is an average."""
        c = self.coefficients
        return c.lags + c.lost + FILTERED_ROWS * len(c.ma)

    def forecast_windows(self, windows: np.ndarray, steps: int, exogenous: np.ndarray | None = None) -> np.ndarray:
        """Forecasts after each of n windows of the same length.

        Args:
            windows: doubles, (n, rows, k), rows in order of time, at least `window_rows`; all of them are used.
            steps: 1 or more.
            exogenous: doubles, (n, rows + steps, m), of each row and then of each step.

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
        by = np.empty((len(windows), windows.shape[1] + steps, 0)) if exogenous is None else exogenous
        if by.shape != (wanted := (len(windows), windows.shape[1] + steps, len(self.exogenous))):
            msg = f"exogenous columns of shape {by.shape}, wanted {wanted}: {', '.join(self.exogenous) or 'none'}"
            raise ValueError(msg)
        if not (np.isfinite(windows).all() and np.isfinite(by).all()):
            msg = "a window holds a value that is null, NaN or infinite; wanted numbers only"
            raise ValueError(msg)
        # in units of the noise: matrices of columns of 1e16 beside 1e-2 cannot be inverted
        units = np.sqrt(np.diag(self.coefficients.covariance))
        units = np.where(units > 0, units, 1.0)
        c = self.coefficients.in_units(units)
        values = _differenced(windows, c.differences, c.lost) / units
        added = c.intercept + _differenced(by, c.exogenous_differences, c.lost) @ c.exogenous.T
        state, unknown = _state(c, values, added)
        mean, transition = np.empty((len(windows), steps, k)), c.transition
        for step in range(steps):
            state = state @ transition.T
            state[:, :k] += added[:, values.shape[1] + step]
            mean[:, step] = state[:, :k] * units
        mean = self._undo_differences(mean, windows)
        half = NormalDist().inv_cdf(0.5 + self.coverage / 2) * np.sqrt(_variance(c, unknown, steps)) * units
        return np.stack([mean, mean - half, mean + half], axis=-1)

    def save(self, folder: Path) -> dict[str, str]:
        """Write the arrays and the rest into a folder; returns the two files by artifact name."""
        arrays, rest = folder / "coefficients.npz", folder / "forecaster.json"
        np.savez(arrays, **asdict(self.coefficients))
        names = ("endogenous", "time", "steps", "coverage", "exogenous", "window_rows")
        rest.write_text(json.dumps({name: getattr(self, name) for name in names}, indent=1), encoding="utf-8")
        return {"coefficients": str(arrays), "forecaster": str(rest)}

    @classmethod
    def load(cls, files: Mapping[str, str]) -> "Forecaster":
        """The forecaster in two files that `save` wrote; nothing in them is run."""
        about = json.loads(Path(files["forecaster"]).read_text(encoding="utf-8"))
        with np.load(files["coefficients"], allow_pickle=False) as arrays:
            coefficients = Coefficients(**{name: arrays[name] for name in arrays.files})
        return cls(coefficients, *(about[name] for name in ("endogenous", "time", "steps", "coverage", "exogenous")))

    def _undo_differences(self, mean: np.ndarray, windows: np.ndarray) -> np.ndarray:
        for j, times in enumerate(self.coefficients.differences):
            for order in reversed(range(times)):
                last = np.diff(windows[:, -1 - order :, j], order)[:, -1:]
                mean[:, :, j] = last + np.cumsum(mean[:, :, j], axis=1)
        return mean


def _differenced(windows: np.ndarray, differences: np.ndarray, lost: int) -> np.ndarray:
    """Each column (axis 2) differenced as often as it says; the first `lost` rows are gone in all."""
    found = windows[:, lost:].copy()
    for j, d in enumerate(differences):
        found[:, :, j] = np.diff(windows[:, :, j], int(d))[:, lost - d :]
    return found


def _state(c: Coefficients, values: np.ndarray, added: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """After a window's last row: the state's mean (n, s), and the covariance of what is not known of it (s, s).

    Args:
        added: c + B x of each row, and of the first step at least.
    """
    n, rows, k = values.shape
    if not len(c.ma):
        return values[:, : -c.lags - 1 : -1].reshape(n, -1), np.zeros((c.lags * k, c.lags * k))
    transition, noise = c.transition, c.selection @ c.covariance @ c.selection.T
    size = len(transition)
    intercept = np.pad(added, ((0, 0), (0, 0), (0, size - k)))
    # stationary: mean = F mean + c, and P = F P F' + Q (Lütkepohl 2005, section 2.1.4); of several c, statsmodels
    # takes the one that leads to the second row
    mean = np.linalg.solve(np.eye(size) - transition, intercept[:, 1].T).T
    stationary = np.linalg.solve(np.eye(size**2) - np.kron(transition, transition), noise.ravel())
    covariance = stationary.reshape(size, size)
    for row in range(rows):
        # the covariance does not depend on the values: one gain for all windows
        gain = np.linalg.solve(covariance[:k, :k], covariance[:k]).T
        mean = mean + (values[:, row] - mean[:, :k]) @ gain.T
        covariance = covariance - gain @ covariance[:k]
        if row < rows - 1:
            mean = mean @ transition.T + intercept[:, row + 1]
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

    def forecast_windows(self, windows: np.ndarray, steps: int, exogenous: np.ndarray | None = None) -> np.ndarray:
        """As `Forecaster.forecast_windows`."""
        return self.forecaster.forecast_windows(windows, steps, exogenous)

    def predict(
        self,
        context: Any,  # noqa: ARG002  MLflow's signature
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Forecast what follows a window.

        Args:
            model_input: rows in order of time, the columns by name; the time column may be there. The exogenous ones
                stay as they are in the last row.
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
        by = model_input[made.exogenous].to_numpy(np.float64)[[*range(len(window)), *[-1] * steps]]
        forecast = made.forecast_windows(window[np.newaxis], steps, by[np.newaxis])[0]
        columns: dict[str, np.ndarray] = {"step": np.arange(1, steps + 1)}
        for j, name in enumerate(made.endogenous):
            columns |= {name + bound: forecast[:, j, at] for at, bound in enumerate(("", "_lower", "_upper"))}
        return pd.DataFrame(columns)


mlflow.models.set_model(ForecastModel())
