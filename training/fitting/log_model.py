"""How a fitted pipeline is logged to MLflow: a number per row, or a label and the probability of each."""

import tempfile
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from schemas.errors import FeedError, SettingsError
from schemas.feed import Feed, snake_case
from streamscore.registry.missing_text import KEY, NONE

if TYPE_CHECKING:  # MLflow takes seconds to import
    from mlflow.models import ModelSignature

MLFLOW_TYPES = {"int": "integer", "timestamp": "datetime", "date": "datetime"}
PACKAGES = ("mlflow", "scikit-learn", "skops", "numpy", "pandas", "scipy")
PROBABILITY = "probability_"
METADATA = {"streamscore": {"kind": "rows", KEY: NONE}}  # missing text is None in training, as Arrow has it
CLASSIFIER = Path(__file__).parent / "classifier_model.py"

# features under their original names in; numbers, or a frame of `label` and `probability_…`, out
Predict = Callable[[pd.DataFrame], Any]


def log_model(feed: Feed, model: Pipeline, example: pd.DataFrame, mlflow: Any) -> Any:
    """Log a fitted pipeline as the model of the active run, without a pickle.

    What predicts a number: MLflow's scikit-learn flavor, in skops' format. A classifier: code with a skops file beside
    it, as that flavor gives either labels or probabilities.

    Args:
        example: a few rows of features; the model's input example.
        mlflow: of `Registry.active`.

    Returns:
        MLflow's `ModelInfo`.

    Raises:
        FeedError: two labels would give one column.
        SettingsError: a classifier is stored with a type that skops is not to trust.
    """
    labels = labels_of(model)
    shared = {
        "name": "model",
        "signature": signature_of(feed, labels),
        "input_example": example,
        "pip_requirements": [f"{package}=={version(package)}" for package in PACKAGES],
        "metadata": METADATA,
    }
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # MLflow's hints on whole numbers and on type hints
        stored = Path(folder, "model.skops")
        unknown = _store(model, stored)
        if not labels:
            import mlflow.sklearn

            return mlflow.sklearn.log_model(model, skops_trusted_types=unknown or None, **shared)
        import mlflow.pyfunc

        _assert_classifier_loads(feed, model, unknown)
        return mlflow.pyfunc.log_model(
            python_model=str(CLASSIFIER),
            artifacts={"pipeline": str(stored)},
            model_config={"probabilities": list(probability_columns(feed, labels))},
            **shared,
        )


def signature_of(feed: Feed, labels: Sequence[Any] = ()) -> "ModelSignature":
    """The feed's features in; a double out, or where there are labels `label` and the probability of each."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    def kind(name: str, nullable: bool) -> Any:
        name = "double" if nullable and name in ("int", "long") else name  # pandas has no null in whole numbers
        return DataType[MLFLOW_TYPES.get(name, name)]

    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(kind(c.type, c.nullable), c.name, required=not c.nullable) for c in feed.features
    ]
    outputs: list[ColSpec | TensorSpec] = [ColSpec(DataType.double)]
    if labels:
        label = {"int": "long"}.get(feed.target.type, feed.target.type) if feed.target else "string"
        outputs = [ColSpec(DataType[label], "label")]
        outputs += [ColSpec(DataType.double, name) for name in probability_columns(feed, labels)]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def labels_of(model: Pipeline) -> list[Any]:
    """A classifier's labels, in the order of its probabilities; of any other model none."""
    return list(getattr(model[-1], "classes_", ()))


def probability_columns(feed: Feed, labels: Sequence[Any]) -> dict[str, Any]:
    """The output columns of a classifier's probabilities, and the label of each.

    Raises:
        FeedError: a label gives no column name, or two give the same.
    """
    columns: dict[str, Any] = {}
    for label in labels:
        column = probability_column(label)
        if column == PROBABILITY or column in columns:
            other = f"and '{columns[column]}' are both" if column in columns else "has no letter or digit: it gives"
            msg = f"feed {feed.name}: the label '{label}' {other} '{column}' in the predictions; rename it in the data"
            raise FeedError(msg)
        columns[column] = label
    return columns


def probability_column(label: Any) -> str:
    """As `probability_very_good`, `probability_true`, `probability_minus_1`."""
    text = str(label)
    return PROBABILITY + snake_case(f"minus_{text[1:]}" if text.startswith("-") else text)


def predictor(feed: Feed, model: Pipeline) -> Predict:
    """What the registered model will answer, from the pipeline itself."""
    labels = labels_of(model)
    if not labels:
        return lambda features: np.asarray(model.predict(features), np.float64)
    names = list(probability_columns(feed, labels))

    def predict(features: pd.DataFrame) -> pd.DataFrame:
        answer = pd.DataFrame(model.predict_proba(features), columns=names)
        answer.insert(0, "label", model.predict(features))
        return answer

    return predict


def _store(model: Pipeline, path: Path) -> list[str]:
    """Write the skops file; the types in it that skops does not trust by itself."""
    import skops.io

    skops.io.dump(model, path)
    return list(skops.io.get_untrusted_types(file=path))


def _assert_classifier_loads(feed: Feed, model: Pipeline, unknown: list[str]) -> None:
    from schemas.settings import Models

    name = type(model[-1]).__name__
    if refused := sorted(set(unknown) - set(Models().skops_types)):
        msg = (
            f"feed {feed.name}: {name} is stored with the type {refused[0]}, which is not loaded; "
            "choose another estimator"
        )
        raise SettingsError(msg)
