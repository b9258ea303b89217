"""The flow from observations to a fitted, tested and compared forecaster."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from schemas.errors import SettingsError
from schemas.feed import Feed
from training.series.backtest import Backtest, backtest, bounds_coverage, origin_rows
from training.series.baselines import Contestant, gradient_boosting, naive, of_forecaster, seasonal_naive
from training.series.data import SeriesData, time_column
from training.series.fit import Fit, fit_var, fit_varmax
from training.series.order import assert_enough, assert_independent, choose_lags, given_order
from training.series.plots import plot_errors, plot_forecast
from training.series.result import SeriesResult
from training.series.stationarity import ColumnTest, difference, unit_root_tests
from training.series.whiteness import Whiteness, portmanteau
from training.settings import Series as SeriesSettings
from training.settings import TrainingSettings
from training.suits import assert_suits

if TYPE_CHECKING:  # it imports mlflow, which takes seconds
    from training.series.forecast_model import Forecaster


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]  # threads of BLAS that wait for each other took 513 s of what one does in 20
def fit_series(feed: Feed, data: SeriesData, settings: TrainingSettings) -> SeriesResult:
    """Fit and judge a forecaster; a pure function of its arguments but for the seconds it takes.

    1. Split by time.  2. Difference.  3. Choose the lags.  4. Fit.  5. Test the residuals.  6. Backtest.

    Raises:
        SettingsError: the settings are of another kind of model.
        FeedError: the rows are too few, or a column says nothing of its own; nothing was fitted.
    """
    name, given = _estimator(feed, settings)
    # 1
    fitted_rows = _fitted_rows(data, settings, given)
    fitted, k = data.frame.iloc[:fitted_rows], len(data.values.columns)
    # 2
    tests = unit_root_tests(fitted, settings.series)
    differences = tuple(test.differences for test in tests)
    every = difference(fitted.to_numpy(), differences)
    assert_independent(every, list(map(str, fitted)))
    stationary, regressors = every[:, :k], every[:, k:]
    # 3
    order = choose_lags(stationary, settings.series, regressors)
    # 4
    fits = _fits(name, {"p": order.lags, **given}, stationary, regressors)
    chosen = fits[-1]
    # 5
    whiteness = portmanteau(chosen)
    # 6
    forecasters = {fit.title: _forecaster(fit, data, differences, time_column(feed), settings.series) for fit in fits}
    forecaster = forecasters[chosen.title]
    compared = _backtest(data, fitted_rows, differences[:k], order.lags, forecasters, settings)
    coverage = bounds_coverage(data, fitted_rows, settings.series.origins, forecaster)
    return SeriesResult(
        data=data,
        fitted_rows=fitted_rows,
        stationarity=tests,
        order=order,
        fit=chosen,
        whiteness=whiteness,
        forecaster=forecaster,
        backtest=compared,
        metrics=compared.metrics(chosen.title) | {"bounds_coverage": coverage},
        warnings=(*_warnings(tests, chosen, whiteness, settings.series), *_unjudged(compared)),
        plots={
            "forecast": plot_forecast(data, fitted_rows, forecaster, chosen.title),
            "errors_by_step": plot_errors(compared, chosen.title),
        },
    )


def evaluate_forecaster(forecaster: "Forecaster", data: SeriesData, settings: TrainingSettings) -> dict[str, float]:
    """The metrics of any forecaster, as the Production model's, on the held-out rows and from the origins of a run.

    Raises:
        SettingsError: it forecasts other columns than the data have.
    """
    columns, exogenous = list(map(str, data.values)), getattr(forecaster, "exogenous", [])
    if forecaster.endogenous != columns or not set(exogenous) <= set(data.exogenous):
        by = f" by {', '.join(exogenous)}" if exogenous else ""
        msg = (
            f"the model forecasts {', '.join(forecaster.endogenous)}{by}, the data have {', '.join(data.frame)}; "
            f"models of other columns cannot be compared: gate: {{relative: null}}"
        )
        raise SettingsError(msg)
    fitted_rows = _fitted_rows(data, settings, {})
    contestants = [naive(), of_forecaster("model", forecaster, data)]
    series = settings.series
    compared = backtest(data.values, fitted_rows, series.steps, series.origins, contestants)
    return compared.metrics("model")


def _estimator(feed: Feed, settings: TrainingSettings) -> tuple[str, dict[str, int]]:
    assert_suits(feed, settings)
    estimator = settings.estimator
    default = {"q": 1} if estimator.name == "varmax" else {}
    return estimator.name, default | given_order(estimator.name, estimator.parameters)


def _fitted_rows(data: SeriesData, settings: TrainingSettings, order: Mapping[str, int]) -> int:
    """The rows before the held-out ones; both parts are long enough."""
    fitted_rows = data.rows - max(1, round(data.rows * settings.split.held_out))
    k, m = len(data.values.columns), len(data.exogenous.columns)
    assert_enough(fitted_rows, k, settings.series, order.get("p", 0), order.get("q", 0), m)
    origin_rows(data.rows, fitted_rows, settings.series.steps, settings.series.origins)
    return fitted_rows


def _forecaster(
    fit: Fit, data: SeriesData, differences: tuple[int, ...], time: str, settings: SeriesSettings
) -> "Forecaster":
    from training.series.forecast_model import Coefficients, Forecaster

    names, by = list(map(str, data.values)), list(map(str, data.exogenous))
    own, others = np.array(differences[: len(names)]), np.array(differences[len(names) :], np.int64)
    coefficients = Coefficients(fit.intercept, fit.ar, fit.ma, fit.covariance, own, fit.exogenous, others)
    return Forecaster(coefficients, names, time, settings.steps, settings.coverage, by)


def _backtest(
    data: SeriesData,
    fitted_rows: int,
    differences: tuple[int, ...],
    lags: int,
    forecasters: Mapping[str, "Forecaster"],
    settings: TrainingSettings,
) -> Backtest:
    contestants: list[Contestant] = [
        of_forecaster(title, forecaster, data) for title, forecaster in forecasters.items()
    ]
    fitted = data.values.iloc[:fitted_rows].to_numpy()
    contestants += [
        naive(),
        seasonal_naive(settings.series.season),
        gradient_boosting(fitted, differences, lags, settings.split.seed),
    ]
    return backtest(data.values, fitted_rows, settings.series.steps, settings.series.origins, contestants)


def _fits(name: str, order: Mapping[str, int], stationary: np.ndarray, regressors: np.ndarray) -> list[Fit]:
    """A VAR, and the VARMAX that is wanted beside it."""
    fits = [fit_var(stationary, max(order["p"], 1), regressors)]
    if name == "varmax":
        fits.append(fit_varmax(stationary, order["p"], order["q"], regressors))
    return fits


def _unjudged(compared: Backtest) -> list[str]:
    return [
        f"'{column}' has one value in the held-out rows, by which no forecast of it can be judged: rmse and mae are "
        f"without it; raise split.held_out"
        for column, judged in zip(compared.columns, compared.judged, strict=True)
        if not judged
    ]


def _warnings(tests: tuple[ColumnTest, ...], fit: Fit, whiteness: Whiteness, settings: SeriesSettings) -> list[str]:
    found = [
        f"'{test.column}' is not stationary after {test.differences} differences (ADF p = {test.p_values[-1]:.3f}); "
        f"raise series.max_differences, or take its logarithm first"
        for test in tests
        if not test.stationary
    ]
    if not fit.converged:
        found.append(f"{fit.title}: the likelihood's maximum was not found; its order may be too high for the data")
    if whiteness.p_value < settings.alpha:
        found.append(
            f"the residuals of {fit.title} are correlated up to lag {whiteness.lags} "
            f"(Portmanteau p = {whiteness.p_value:.3g}); its bounds may be too narrow; try more lags"
        )
    return found
