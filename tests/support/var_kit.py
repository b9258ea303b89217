"""A VAR of the series that comes with statsmodels, as the registry has it and as a model in memory."""

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from jobs.serving.requests.contract import Inputs, series_inputs_of
from schemas.feed import Feed, load_feed
from schemas.signature import series_contract
from schemas.tables import forecast_type
from streamscore.models.series_model import SeriesModel
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.registry import Registry
from training.series.fit import fit_var
from training.series.forecast_model import Coefficients, Forecaster
from training.series.log_forecaster import MODEL_FILE, signature_of
from training.series.macrodata import macrodata_csv

NAMES = ["realgdp", "realcons", "realinv"]
LAGS = 3


def macrodata() -> pd.DataFrame:
    """203 quarters; the date as text."""
    return pd.read_csv(io.BytesIO(macrodata_csv()))[["date", *NAMES]]


def records_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON has them."""
    found: list[dict[str, Any]] = frame.to_dict("records")
    return found


def wanted(levels: np.ndarray, steps: int) -> np.ndarray:
    """What statsmodels forecasts after the levels, with its bounds of 95 %: shape (steps, columns, 3).

    A(L) (1 - L) y = c + u is a VAR of the levels with one lag more.
    """
    from statsmodels.tsa.vector_ar.var_model import forecast_interval

    fit = fit_var(np.diff(macrodata()[NAMES].to_numpy(), axis=0), LAGS)
    size = len(NAMES)
    a = np.concatenate([np.eye(size)[np.newaxis], -fit.ar, np.zeros((1, size, size))])
    in_levels = a[1:] - a[:-1]
    found = forecast_interval(levels[-LAGS - 1 :], -in_levels, fit.intercept, fit.covariance, steps, alpha=0.05)
    return np.stack(found, axis=-1)


def forecaster() -> Forecaster:
    """VAR(3) of the first differences."""
    fit = fit_var(np.diff(macrodata()[NAMES].to_numpy(), axis=0), LAGS)
    made = Coefficients(fit.intercept, fit.ar, fit.ma, fit.covariance, np.ones(len(NAMES), np.int64))
    return Forecaster(made, NAMES, "date", 4, 0.95)


def metadata() -> dict[str, Any]:
    """What training writes of it."""
    said = {"kind": "series", "window_rows": LAGS + 1, "endogenous": NAMES, "steps": 4, "key": {}, "frequency": "P3M"}
    return {"streamscore": said | {"coverage": 0.95}}


def in_memory(feed: Feed | None = None) -> tuple[SeriesModel, Inputs]:
    """The model without a registry, and what it wants of requests."""
    feed = feed or load_feed("macrodata")
    contract = series_contract(feed, metadata(), "macrodata v1")
    identity = ModelVersion("macrodata", "1", "run-1")
    model = SeriesModel(
        identity, "", contract, forecast_type(feed), forecaster().forecast_windows, np.arange(len(NAMES))
    )
    return model, series_inputs_of({"metadata": metadata()}, None, "macrodata v1", feed)


def put_into_production(registry: Registry) -> None:
    """The model as `streamscore train` logs it, with its last observations as input example."""
    feed, made = load_feed("macrodata"), forecaster()
    example = macrodata().tail(made.window_rows).astype({"date": "datetime64[ns]"})
    with registry.active() as mlflow, tempfile.TemporaryDirectory() as folder, mlflow.start_run() as run:
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(MODEL_FILE),
            artifacts=made.save(Path(folder)),
            signature=signature_of(made),
            input_example=example,
            metadata=metadata(),
            pip_requirements=[],
        )
        number = registry.add_version(feed.name, logged.model_id, run.info.run_id, {})
        mlflow.MlflowClient().set_registered_model_alias(feed.name, "production", number)
