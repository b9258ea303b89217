"""One training run in MLflow, and the model version that came of it."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sklearn.pipeline import Pipeline

from schemas.errors import FeedError
from schemas.feed import Feed
from schemas.model_uri import registered_name
from schemas.registry import Registry
from training.data import Data, target_column
from training.model import log_model

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


def register(
    feed: Feed,
    data: Data,
    model: Pipeline,
    metrics: dict[str, float],
    parameters: Mapping[str, Any],
    registry: Registry,
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

        with mlflow.start_run(experiment_id=experiment, run_name=f"train-{feed.name}", tags=tags) as run:
            mlflow.log_params(parameters)
            mlflow.log_metrics(metrics)
            mlflow.log_input(_data_set(feed, data, mlflow), context="training")
            logged = log_model(feed, model, data.features.head(EXAMPLE_ROWS), mlflow)
        registered = registry.add_version(name, logged.model_id, run.info.run_id, tags)
    return Registered(name, registered, run.info.run_id)


def _data_set(feed: Feed, data: Data, mlflow: Any) -> Any:
    target = target_column(feed)
    frame = data.features.assign(**{target.name: data.target})
    source = None if data.source.startswith("sample(") else data.source
    digest = data.digest[:DIGEST_LENGTH]
    return mlflow.data.from_pandas(frame, source=source, targets=target.name, name=feed.name, digest=digest)
