"""One training run in MLflow, and the model version that came of it."""

import warnings
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from sklearn.pipeline import Pipeline

from schemas.errors import FeedError
from schemas.feed import Feed
from schemas.model_uri import registered_name
from schemas.registry import Registry
from training.data import Data, target_column
from training.fit import Parameters

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

MLFLOW_TYPES = {"int": "integer", "timestamp": "datetime", "date": "datetime"}
PACKAGES = ("mlflow", "scikit-learn", "skops", "numpy", "pandas", "scipy")
EXAMPLE_ROWS = 5
DIGEST_LENGTH = 36  # MLflow allows no more for a data set; the whole digest is in the run's tags


@dataclass(frozen=True, slots=True)
class Registered:
    """A model version and the run that made it."""

    name: str
    version: str
    run_id: str


def model_name(feed: Feed) -> str:
    """The registered name under which the feed's model is looked for.

    Raises:
        FeedError: the feed's model is a run, not a registered name.
    """
    if name := registered_name(feed.model_uri):
        return name
    raise FeedError(f"feed {feed.name}: its model is {feed.model_uri}; to train, write model: models:/NAME@production")


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


def register(
    feed: Feed, data: Data, model: Pipeline, metrics: dict[str, float], parameters: Parameters, registry: Registry
) -> Registered:
    """Log parameters, metrics, data set, signature, input example and model as one run; then register with a manifest.

    A run that fails half way is marked as failed, and nothing is registered.

    Raises:
        RegistryError: no answer in bounded time.
    """
    name = model_name(feed)
    experiment = registry.experiment(feed.name)
    tags = {
        "streamscore.feed": feed.name,
        "streamscore.data_source": data.source,
        "streamscore.data_digest": data.digest,
        "streamscore.data_rows": str(data.rows),
    }
    with registry.active() as mlflow, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # MLflow's hints on whole numbers and data set sources
        import mlflow.data
        import mlflow.sklearn

        with mlflow.start_run(experiment_id=experiment, run_name=f"train-{feed.name}", tags=tags) as run:
            mlflow.log_params(asdict(parameters) | {"estimator": "ElasticNet"})
            mlflow.log_metrics(metrics)
            mlflow.log_input(_data_set(feed, data, mlflow), context="training")
            logged = mlflow.sklearn.log_model(
                model,
                name="model",
                signature=signature_of(feed),
                input_example=data.features.head(EXAMPLE_ROWS),
                pip_requirements=[f"{package}=={version(package)}" for package in PACKAGES],
                # SimpleImputer keeps the type of what it was fitted on
                skops_trusted_types=["numpy.dtype"] if any(c.nullable for c in feed.features) else None,
            )
        registered = registry.add_version(name, logged.model_id, run.info.run_id, tags)
    return Registered(name, registered, run.info.run_id)


def _data_set(feed: Feed, data: Data, mlflow: Any) -> Any:
    target = target_column(feed)
    frame = data.features.assign(**{target.name: data.target})
    source = None if data.source.startswith("sample(") else data.source
    digest = data.digest[:DIGEST_LENGTH]
    return mlflow.data.from_pandas(frame, source=source, targets=target.name, name=feed.name, digest=digest)
