"""One training run of a series in MLflow, and the model version that comes of it."""

import tempfile
import warnings
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.feed import Feed
from schemas.registry import Registry
from training.series.result import Logged, SeriesResult
from training.settings import TrainingSettings

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

    from training.series.forecast_model import Forecaster

PACKAGES = ("mlflow", "numpy", "pandas")
DIGEST_LENGTH = 36  # MLflow allows no more for a data set; the whole digest is in the run's tags
MODEL_FILE = Path(__file__).with_name("forecast_model.py")


def signature_of(forecaster: "Forecaster") -> "ModelSignature":
    """Doubles in, the time optional; step and, for each column, mean and bounds out; `steps` as a parameter."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    inputs = [ColSpec(DataType.double, name) for name in forecaster.endogenous]
    outputs = [f"{name}{bound}" for name in forecaster.endogenous for bound in ("", "_lower", "_upper")]
    return ModelSignature(
        inputs=Schema([*inputs, ColSpec(DataType.datetime, forecaster.time, required=False)]),
        outputs=Schema([ColSpec(DataType.long, "step"), *(ColSpec(DataType.double, name) for name in outputs)]),
        params=ParamSchema([ParamSpec("steps", DataType.long, forecaster.steps)]),
    )


def metadata_of(forecaster: "Forecaster") -> dict[str, Any]:
    """What the stream reads of a forecaster before it loads it."""
    return {
        "streamscore": {
            "kind": "series",
            "window_rows": forecaster.window_rows,
            "endogenous": forecaster.endogenous,
            "steps": forecaster.steps,
        }
    }


def log_series(feed: Feed, result: SeriesResult, settings: TrainingSettings, registry: Registry) -> Logged:
    """Log parameters, metrics, data set, lag orders, backtest, plots, and the model from code, as one run.

    A run that fails half way is marked as failed, and nothing is registered.

    Raises:
        RegistryError: no answer in bounded time.
    """
    experiment = registry.experiment(feed.name)
    tags = data_tags(feed, result)
    forecaster, data = result.forecaster, result.data
    with registry.active() as mlflow, warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore", UserWarning)  # MLflow's hints on data set sources and models without type hints
        import mlflow.data
        import mlflow.pyfunc

        with mlflow.start_run(experiment_id=experiment, run_name=f"train-{feed.name}", tags=tags) as run:
            mlflow.log_params(_parameters(result, settings))
            mlflow.log_metrics(result.metrics)
            source = data.source if Path(data.source).is_file() else None
            frame = data.values.reset_index()
            digest = data.digest[:DIGEST_LENGTH]
            mlflow.log_input(mlflow.data.from_pandas(frame, source=source, name=feed.name, digest=digest), "training")
            mlflow.log_dict(asdict(result.order), "lag_order.json")
            mlflow.log_dict(result.to_json(), "series_report.json")
            for name, svg in result.plots.items():
                mlflow.log_text(svg, f"{name}.svg")
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(MODEL_FILE),
                artifacts=forecaster.save(Path(folder)),
                signature=signature_of(forecaster),
                input_example=frame.tail(forecaster.window_rows),
                metadata=metadata_of(forecaster),
                pip_requirements=[f"{package}=={version(package)}" for package in PACKAGES],
            )
    return Logged(str(logged.model_id), str(run.info.run_id))


def data_tags(feed: Feed, result: SeriesResult) -> dict[str, str]:
    """Tags of a run and of the version that comes of it, as training on rows has them."""
    return {
        "streamscore.feed": feed.name,
        "streamscore.data_source": result.data.source,
        "streamscore.data_digest": result.data.digest,
        "streamscore.data_rows": str(result.data.rows),
    }


def _parameters(result: SeriesResult, settings: TrainingSettings) -> dict[str, str | int | float]:
    fit, series = result.fit, settings.series
    differences = ", ".join(f"{test.column} {test.differences}" for test in result.stationarity)
    return {
        "estimator": fit.name,
        "p": len(fit.ar),
        "q": len(fit.ma),
        "criterion": series.criterion,
        "differences": differences,
        "held_out": settings.split.held_out,
        "seed": settings.split.seed,
        "steps": series.steps,
        "coverage": series.coverage,
        "frequency": result.data.frequency,
    }
