"""The registered forecaster's numbers, against statsmodels' and against a second way to the same."""

import dataclasses
import io
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from training.series.fit import Fit, fit_var, fit_varmax
from training.series.forecast_model import FILTERED_ROWS, Coefficients, Forecaster
from training.series.macrodata import macrodata_csv
from training.series.stationarity import difference
from training.series.whiteness import portmanteau

NAMES = ["realgdp", "realcons", "realinv"]
EXACT: dict[str, Any] = {"rtol": 1e-8, "atol": 1e-8}


@pytest.fixture(scope="module")
def levels() -> np.ndarray:
    return pd.read_csv(io.BytesIO(macrodata_csv()))[NAMES].to_numpy()


def forecaster(fit: Fit, differences: Any) -> Forecaster:
    made = Coefficients(fit.intercept, fit.ar, fit.ma, fit.covariance, np.array(differences))
    return Forecaster(made, NAMES[: len(differences)], "date", 4, 0.95)


@pytest.mark.parametrize("lags", [1, 3])
def test_a_var_without_differences_forecasts_as_statsmodels_does(levels: np.ndarray, lags: int) -> None:
    from statsmodels.tsa.api import VAR

    growth = np.diff(np.log(levels), axis=0)
    wanted = VAR(growth).fit(lags).forecast_interval(growth[-lags:], 12, alpha=0.05)
    found = forecaster(fit_var(growth, lags), [0, 0, 0]).forecast_windows(growth[np.newaxis, -lags:], 12)[0]
    np.testing.assert_allclose(found, np.stack(wanted, axis=-1), **EXACT)


@pytest.mark.parametrize("differences", [(1, 1, 1), (2, 2, 2), (1, 0, 2), (0, 2, 1)])
def test_undone_differences_give_the_forecast_and_bounds_of_the_same_model_in_levels(
    levels: np.ndarray, differences: tuple[Any, ...]
) -> None:
    """A(L) (1 - L)^d x = c + u is a VAR in levels, which statsmodels forecasts with bounds of its own."""
    from statsmodels.tsa.vector_ar.var_model import forecast_interval

    fit = fit_var(difference(levels, differences), 2)
    made = forecaster(fit, differences)
    assert made.window_rows == 2 + max(differences)
    window = levels[-made.window_rows :]
    wanted = forecast_interval(window, in_levels(fit.ar, differences), fit.intercept, fit.covariance, 10, alpha=0.05)
    found = made.forecast_windows(window[np.newaxis], 10)[0]
    np.testing.assert_allclose(found, np.stack(wanted, axis=-1), **EXACT)


def in_levels(ar: Any, differences: Any) -> Any:
    """The coefficients of A(L) D(L), where D(L) = diag((1 - L)^d), as those of a VAR: I - A(L) D(L)."""
    k, most = len(differences), max(differences)
    of_differences = np.zeros((most + 1, k, k))
    for j, times in enumerate(differences):
        of_differences[: times + 1, j, j] = np.poly(np.ones(times))
    lag_polynomial = np.concatenate([np.eye(k)[np.newaxis], -ar])
    product = np.zeros((len(ar) + most + 1, k, k))
    for i, left in enumerate(lag_polynomial):
        for h, right in enumerate(of_differences):
            product[i + h] += left @ right
    return -product[1:]


def test_differenced_means_are_statsmodels_forecast_cumulated(levels: np.ndarray) -> None:
    from statsmodels.tsa.api import VAR

    changes = np.diff(levels, axis=0)
    wanted = levels[-1] + VAR(changes).fit(3).forecast(changes[-3:], 8).cumsum(axis=0)
    found = forecaster(fit_var(changes, 3), [1, 1, 1]).forecast_windows(levels[np.newaxis, -4:], 8)
    np.testing.assert_allclose(found[0, :, :, 0], wanted, **EXACT)


def test_bounds_of_a_differenced_var_hold_as_many_simulated_paths_as_they_say(levels: np.ndarray) -> None:
    fit = fit_var(np.diff(levels, axis=0), 1)
    made = forecaster(fit, [1, 1, 1])
    rng, paths, steps = np.random.default_rng(5), 40_000, 6
    change, level = np.tile(levels[-1] - levels[-2], (paths, 1)), np.tile(levels[-1], (paths, 1))
    forecast = made.forecast_windows(levels[np.newaxis, -2:], steps)[0]
    for step in range(steps):
        change = fit.intercept + change @ fit.ar[0].T + rng.multivariate_normal(np.zeros(3), fit.covariance, paths)
        level = level + change
        inside = (forecast[step, :, 1] <= level) & (level <= forecast[step, :, 2])
        np.testing.assert_allclose(inside.mean(axis=0), 0.95, atol=0.006)


@pytest.fixture(scope="module")
def growth(levels: np.ndarray) -> np.ndarray:
    """Of two columns, in percent."""
    return 100 * np.diff(np.log(levels[:, :2]), axis=0)


AR = np.array([[[0.4, 0.1], [0.2, 0.3]], [[0.1, -0.2], [0.0, 0.2]]])
MA = np.array([[[-0.3, 0.2], [0.1, 0.4]], [[0.1, 0.0], [-0.2, 0.1]]])
COVARIANCE = np.array([[0.6, 0.3], [0.3, 0.5]])


def varma(p: Any, q: Any) -> Fit:
    """Stationary and invertible, fitted to nothing."""
    return Fit("varmax", np.array([0.4, 0.5]), AR[:p], MA[:q], COVARIANCE, np.empty((0, 2)), True, 0.0)


def statsmodels_results(fit: Fit, values: np.ndarray, exogenous: np.ndarray | None = None) -> Any:
    from statsmodels.tsa.api import VARMAX

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = VARMAX(values, exog=exogenous, order=(len(fit.ar), len(fit.ma)), trend="c")
    matrices = [np.concatenate(list(block), axis=1).ravel() for block in (fit.ar, fit.ma) if len(block)]
    chol = np.linalg.cholesky(fit.covariance)[np.tril_indices(len(fit.covariance))]
    return model.smooth(np.concatenate([fit.intercept, *matrices, fit.exogenous.ravel(), chol]))


@pytest.mark.parametrize(("p", "q"), [(1, 0), (2, 1), (0, 1), (1, 2)])
def test_a_varmax_given_the_whole_history_forecasts_as_statsmodels_does(growth: np.ndarray, p: int, q: int) -> None:
    fit = varma(p, q)
    wanted = statsmodels_results(fit, growth).get_forecast(9)
    lower, upper = wanted.conf_int(alpha=0.05).reshape(9, 2, 2).transpose(1, 0, 2)
    found = forecaster(fit, [0, 0]).forecast_windows(growth[np.newaxis], 9)[0]
    np.testing.assert_allclose(found[..., 0], wanted.predicted_mean, **EXACT)
    np.testing.assert_allclose(found[..., 1:], np.stack([lower, upper], axis=-1), **EXACT)


def by_last(fit: Fit, differences: Any, exogenous: Any) -> Forecaster:
    """A forecaster with one exogenous column."""
    made = Coefficients(
        fit.intercept, fit.ar, fit.ma, fit.covariance, np.array(differences), fit.exogenous, np.array(exogenous)
    )
    return Forecaster(made, NAMES[: len(differences)], "date", 4, 0.95, ["realinv"])


def held(exogenous: np.ndarray, steps: int) -> np.ndarray:
    return np.concatenate([exogenous, np.repeat(exogenous[-1:], steps, axis=0)])


@pytest.mark.parametrize("scale", [1.0, 1e14])
def test_a_var_with_regressors_forecasts_as_statsmodels_does(levels: np.ndarray, scale: float) -> None:
    from statsmodels.tsa.api import VAR

    changes = np.diff(np.log(levels), axis=0)
    values, x = changes[:, :2], changes[:, 2:]
    wanted = VAR(values, exog=x).fit(2).forecast_interval(values[-2:], 9, alpha=0.05, exog_future=held(x, 9)[-9:])
    made = by_last(fit_var(values, 2, x * scale), [0, 0], [0])
    found = made.forecast_windows(values[np.newaxis, -2:], 9, held(x[-2:] * scale, 9)[np.newaxis])[0]
    np.testing.assert_allclose(found, np.stack(wanted, axis=-1), **EXACT)


@pytest.mark.parametrize(("p", "q"), [(1, 0), (2, 1), (0, 1), (1, 2)])
def test_a_varmax_with_regressors_and_the_whole_history_forecasts_as_statsmodels_does(
    growth: np.ndarray, levels: np.ndarray, p: int, q: int
) -> None:
    x = 100 * np.diff(np.log(levels[:, 2:]), axis=0)
    fit = dataclasses.replace(varma(p, q), exogenous=np.array([[0.05], [-0.02]]))
    future = np.linspace(-2, 3, 9)[:, np.newaxis]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = statsmodels_results(fit, growth, x).get_forecast(9, exog=future)
    lower, upper = wanted.conf_int(alpha=0.05).reshape(9, 2, 2).transpose(1, 0, 2)
    by = np.concatenate([x, future])[np.newaxis]
    found = by_last(fit, [0, 0], [0]).forecast_windows(growth[np.newaxis], 9, by)[0]
    np.testing.assert_allclose(found[..., 0], wanted.predicted_mean, **EXACT)
    np.testing.assert_allclose(found[..., 1:], np.stack([lower, upper], axis=-1), **EXACT)


def test_a_varmax_with_regressors_is_fitted_to_a_maximum_on_the_values(growth: np.ndarray, levels: np.ndarray) -> None:
    x = 500 + np.diff(np.log(levels[:, 2:]), axis=0)
    with threadpool_limits(1):
        fit = fit_varmax(growth, 1, 0, x)
    best = statsmodels_results(fit, growth, x).llf
    assert best > statsmodels_results(fit_varmax(growth, 1, 0), growth).llf + 5
    for change in (0.95, 1.05):
        less = fit.exogenous * (change - 1)
        moved = dataclasses.replace(
            fit, exogenous=fit.exogenous + less, intercept=fit.intercept - less @ x.mean(axis=0)
        )
        assert statsmodels_results(moved, growth, x).llf < best


def test_differences_of_regressors_are_their_own(levels: np.ndarray) -> None:
    changes = np.diff(levels, axis=0)
    fit = fit_var(changes[:, :2], 1, changes[:, 2:])
    made = by_last(fit, [1, 1], [1])
    window, by = levels[np.newaxis, -2:, :2], held(levels[-2:, 2:], 5)[np.newaxis]
    flat = by_last(fit, [0, 0], [0]).forecast_windows(changes[np.newaxis, -1:, :2], 5, np.diff(by, axis=1))
    wanted = levels[-1, :2] + flat[0, :, :, 0].cumsum(axis=0)
    np.testing.assert_allclose(made.forecast_windows(window, 5, by)[0, :, :, 0], wanted, **EXACT)
    with pytest.raises(ValueError, match=r"exogenous columns of shape \(1, 7, 0\), wanted \(1, 7, 1\): realinv"):
        made.forecast_windows(window, 5)


def test_a_varmax_fitted_on_standardised_values_is_a_maximum_on_the_values(growth: np.ndarray) -> None:
    with threadpool_limits(1):
        fit = fit_varmax(growth, 1, 0)
    assert fit.converged
    best = statsmodels_results(fit, growth).llf
    for change in (0.95, 1.05):
        worse = [
            dataclasses.replace(fit, ar=fit.ar * change),
            dataclasses.replace(fit, covariance=fit.covariance * change),
            dataclasses.replace(fit, intercept=fit.intercept * change),
        ]
        assert all(statsmodels_results(other, growth).llf < best for other in worse)


@pytest.mark.parametrize(("p", "q"), [(2, 0), (2, 1), (1, 2)])
def test_a_varmax_forecasts_from_its_shortest_window_nearly_as_from_all_history(
    growth: np.ndarray, p: int, q: int
) -> None:
    made = forecaster(varma(p, q), [0, 0])
    assert made.window_rows == p + FILTERED_ROWS * q
    short = made.forecast_windows(growth[np.newaxis, -made.window_rows :], 4)[0]
    whole = made.forecast_windows(growth[np.newaxis], 4)[0]
    width = whole[..., 2] - whole[..., 1]
    assert (abs(short[..., 0] - whole[..., 0]) < 1e-3 * width).all()
    # the bounds know what a short window does not say
    assert ((short[..., 2] - short[..., 1]) >= width * (1 - 1e-9)).all()


def test_many_windows_at_once_give_what_each_gives_alone(levels: np.ndarray) -> None:
    fits = [fit_var(difference(levels, (1, 2, 1)), 2), varma(1, 1)]
    for fit, differences in zip(fits, [(1, 2, 1), (1, 1)], strict=True):
        made = forecaster(fit, differences)
        values = levels[:, : len(differences)]
        windows = np.stack([values[at : at + made.window_rows] for at in range(30)])
        together = made.forecast_windows(windows, 5)
        assert together.shape == (30, 5, len(differences), 3)
        for window, found in zip(windows, together, strict=True):
            np.testing.assert_allclose(made.forecast_windows(window[np.newaxis], 5)[0], found, rtol=1e-12)


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (np.ones((1, 1, 3)), "2 rows or more"),
        (np.ones((1, 2, 2)), r"wanted \(n, 2 rows or more, 3\)"),
        (np.full((1, 2, 3), np.nan), "null, NaN or infinite"),
    ],
)
def test_a_window_that_will_not_do_is_refused(levels: np.ndarray, window: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        forecaster(fit_var(np.diff(levels, axis=0), 1), [1, 1, 1]).forecast_windows(window, 2)


def test_a_forecaster_comes_back_from_its_files_as_it_was(levels: np.ndarray, tmp_path: Path) -> None:
    made = forecaster(fit_var(np.diff(levels, axis=0), 3), [1, 1, 1])
    files = made.save(tmp_path)
    again = Forecaster.load(files)
    assert (again.endogenous, again.steps, again.coverage, again.time) == (NAMES, 4, 0.95, "date")
    window = levels[np.newaxis, -4:]
    assert (again.forecast_windows(window, 3) == made.forecast_windows(window, 3)).all()
    assert json.loads((tmp_path / "forecaster.json").read_text())["window_rows"] == 4


def test_whiteness_of_a_var_is_statsmodels_own(levels: np.ndarray) -> None:
    from statsmodels.tsa.api import VAR

    changes = np.diff(levels, axis=0)
    wanted = VAR(changes).fit(3).test_whiteness(nlags=10, adjusted=True)
    found = portmanteau(fit_var(changes, 3))
    assert found.statistic == pytest.approx(wanted.test_statistic, rel=1e-8)
    assert found.degrees == wanted.df and found.p_value == pytest.approx(wanted.pvalue, rel=1e-8)


def test_too_few_lags_leave_residuals_that_are_not_white() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, 2))
    for row in range(3, 400):
        values[row] += 0.7 * values[row - 3]
    assert portmanteau(fit_var(values, 1)).p_value < 1e-6
    assert portmanteau(fit_var(values, 3)).p_value > 0.05


def test_the_model_file_imports_none_of_our_code_and_no_statsmodels() -> None:
    from training.series.log_forecaster import MODEL_FILE

    code = f"""
import runpy, sys
runpy.run_path({str(MODEL_FILE)!r})
print(sorted({{name.split('.')[0] for name in sys.modules}} & {{'training', 'schemas', 'jobs', 'statsmodels'}}))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd="/", env={}, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
