"""How a forecaster is logged to MLflow: one file of code, with arrays and JSON beside it."""

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.series.result import SeriesResult
from training.settings import ANY, TrainingSettings

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

    from training.series.forecast_model import Forecaster

PACKAGES = ("mlflow", "numpy", "pandas")
MODEL_FILE = Path(__file__).with_name("forecast_model.py")


def signature_of(forecaster: "Forecaster") -> "ModelSignature":
    """Doubles in, the time optional; step and, for each column, mean and bounds out; `steps` as a parameter."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    inputs = [ColSpec(DataType.double, name) for name in (*forecaster.endogenous, *forecaster.exogenous)]
    outputs = [f"{name}{bound}" for name in forecaster.endogenous for bound in ("", "_lower", "_upper")]
    return ModelSignature(
        inputs=Schema([*inputs, ColSpec(DataType.datetime, forecaster.time, required=False)]),
        outputs=Schema([ColSpec(DataType.long, "step"), *(ColSpec(DataType.double, name) for name in outputs)]),
        params=ParamSchema([ParamSpec("steps", DataType.long, forecaster.steps)]),
    )


def metadata_of(result: SeriesResult) -> dict[str, Any]:
    """What the stream reads of a forecaster before it loads it."""
    forecaster = result.forecaster
    return {
        "streamscore": {
            "kind": "series",
            "window_rows": forecaster.window_rows,
            "endogenous": forecaster.endogenous,
            "steps": forecaster.steps,
            "key": result.data.key,
            "frequency": result.data.frequency.text if result.data.frequency else None,
            "coverage": forecaster.coverage,
        }
        | ({"exogenous": forecaster.exogenous} if forecaster.exogenous else {})
    }


def log_forecaster(result: SeriesResult, mlflow: Any) -> Any:
    """Log a fitted forecaster, as code and arrays, as the model of the active run; returns MLflow's `ModelInfo`."""
    import mlflow.pyfunc

    forecaster = result.forecaster
    with tempfile.TemporaryDirectory() as folder:
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(MODEL_FILE),
            artifacts=forecaster.save(Path(folder)),
            signature=signature_of(forecaster),
            input_example=result.data.frame.reset_index().tail(forecaster.window_rows),
            metadata=metadata_of(result),
            pip_requirements=[f"{package}=={version(package)}" for package in PACKAGES],
        )


def parameters_of(result: SeriesResult, settings: TrainingSettings) -> dict[str, str | int | float]:
    """What is logged as the run's parameters."""
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
        "frequency": str(result.data.frequency or ANY),
    }
