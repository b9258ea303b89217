"""A downloaded version as what its feed's kind wants: rows predicted, or series forecast."""

from pathlib import Path

import pyarrow as pa

from schemas.errors import ContractError, StreamscoreError
from schemas.feed import Feed
from streamscore.models.row_model import Model, load_model
from streamscore.models.series_model import SeriesModel, load_series_model
from streamscore.registry.mlflow_module import import_mlflow
from streamscore.registry.model_version import ModelVersion

LoadedModel = Model | SeriesModel


def import_first() -> None:
    """Import what models of rows are mostly loaded with; call it before MLflow is imported.

    skops looks through every imported module for the names of the types it trusts, which takes 1 s longer after MLflow.
    """
    import skops.io  # noqa: F401


def import_loaders() -> None:
    """Import what models of rows are mostly loaded with, MLflow too.

    Without its telemetry, which would start a thread: Spark's workers are forked from a process that calls this.
    """
    import_first()
    import_mlflow()
    import mlflow.sklearn  # noqa: F401


def assert_output(model: LoadedModel, wanted: pa.DataType) -> None:
    """Refuse a version whose predictions the table cannot hold.

    Raises:
        ContractError: it predicts another type.
    """
    if model.output != wanted:
        msg = (
            f"model {model.identity.title} predicts {model.output}, the predictions table holds {wanted}; "
            f"promote a version with the same output, or write to other tables: --tables DIR"
        )
        raise ContractError(msg)


def load_version(path: Path, feed: Feed, identity: ModelVersion) -> LoadedModel:
    """Load a version, hold it against the feed's contract, and try it.

    Raises:
        ContractError: it does not load or fit the feed, or cannot do what it is for.
        RegistryError: it is in a process of its own, which does not start again.
    """
    try:
        if feed.kind == "series":
            return load_series_model(path, feed, identity)
        return load_model(path, feed, identity)
    except StreamscoreError:
        raise
    except Exception as error:  # a model's code may raise anything
        msg = f"model {identity.title} does not load: {type(error).__name__}: {error}; try it: {identity.try_it}"
        raise ContractError(msg) from error
