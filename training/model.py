"""How a fitted pipeline becomes an MLflow model: signature, example, requirements, and skops instead of pickle."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pandas as pd
from sklearn.pipeline import Pipeline

from schemas.feed import Feed

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

MLFLOW_TYPES = {"int": "integer", "timestamp": "datetime", "date": "datetime"}
PACKAGES = ("mlflow", "scikit-learn", "skops", "numpy", "pandas", "scipy")


def signature_of(feed: Feed) -> "ModelSignature":
    """The feed's features as a model's inputs, and one double as its output."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    def kind(name: str, nullable: bool) -> Any:
        name = "double" if nullable and name in ("int", "long") else name  # pandas has no null in whole numbers
        return DataType[MLFLOW_TYPES.get(name, name)]

    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(kind(c.type, c.nullable), c.name, required=not c.nullable) for c in feed.features
    ]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema([ColSpec(DataType.double)]))


def log_model(feed: Feed, model: Pipeline, example: pd.DataFrame, mlflow: Any) -> Any:
    """Log a fitted pipeline in the active run; returns MLflow's ModelInfo."""
    import mlflow.sklearn

    return mlflow.sklearn.log_model(
        model,
        name="model",
        signature=signature_of(feed),
        input_example=example,
        pip_requirements=[f"{package}=={version(package)}" for package in PACKAGES],
        # SimpleImputer keeps the type of what it was fitted on
        skops_trusted_types=["numpy.dtype"] if any(c.nullable for c in feed.features) else None,
    )
