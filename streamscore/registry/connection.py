"""The way to a model registry and the tracking store beside it: every call in bounded time, every error in one line.

MLflow takes seconds to import, so that happens at the first call, never at import.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import RegistryError
from schemas.settings import Models, Storage, as_variables
from streamscore.registry.mlflow_module import (
    assert_usable,
    import_mlflow,
    object_store_errors,
    root_cause,
    without_password,
)
from streamscore.storage.object_store import mlflow_environment

if TYPE_CHECKING:
    from mlflow import MlflowClient

STORE_ATTEMPTS = "2"  # of a request for artifacts in S3, 60 s each: MLflow's client knows no shorter ones


class Connection:
    """MLflow's client and module, set to one registry, its tracking store and the object store of the settings."""

    def __init__(
        self,
        tracking_uri: str,
        registry_uri: str,
        artifacts: str | None,
        models: Models | None = None,
        storage: Storage | None = None,
    ) -> None:
        self.tracking_uri = tracking_uri
        self.registry_uri = registry_uri
        self.artifacts = artifacts  # URI of new experiments' artifacts; null: the server's choice
        self.models = models or Models()
        self._storage = storage or Storage()
        self._client: MlflowClient | None = None

    @contextmanager
    def active(self) -> Iterator[Any]:
        """MLflow's module, set to this registry and the settings' object store; for calls that know no other way.

        MLflow exports both URIs to the environment, where they would outrank a later default: that is undone, and so
        are the variables of the object store.
        """
        store = mlflow_environment(self._storage) | {
            "AWS_MAX_ATTEMPTS": os.environ.get("AWS_MAX_ATTEMPTS", STORE_ATTEMPTS)
        }
        names = "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", *store
        before = {name: os.environ.get(name) for name in names}
        with self._reaching():
            mlflow = import_mlflow()
            try:
                os.environ.update(store)
                mlflow.set_tracking_uri(self.tracking_uri)
                mlflow.set_registry_uri(self.registry_uri)
                yield mlflow
            finally:
                for name, value in before.items():
                    os.environ.pop(name, None) if value is None else os.environ.update({name: value})

    @property
    def variables(self) -> dict[str, str]:
        """The environment in which another process opens this registry, with these limits on models and this store."""
        where = {"tracking_uri": self.tracking_uri, "registry_uri": self.registry_uri}
        return (
            as_variables("registry", where)
            | as_variables("models", self.models.model_dump(mode="json"))
            | as_variables("storage", self._storage.model_dump(mode="json"))
        )

    def experiment(self, name: str) -> str:
        """The id of the experiment of that name, made if need be with its artifacts beside the registry."""
        with self._reaching() as client:
            from mlflow.exceptions import MlflowException

            if found := client.get_experiment_by_name(name):
                return str(found.experiment_id)
            location = f"{self.artifacts}/{name}" if self.artifacts else None
            try:
                return str(client.create_experiment(name, location))
            except MlflowException as error:
                if error.error_code == "RESOURCE_ALREADY_EXISTS" and (found := client.get_experiment_by_name(name)):
                    return str(found.experiment_id)  # somebody else was faster
                raise

    def run_file(self, run_id: str, name: str) -> str | None:
        """The text of an artifact of a run; None if the run has none of that name.

        Raises:
            RegistryError: no such run, or no answer.
        """
        try:
            with self.active(), self._reaching() as client, tempfile.TemporaryDirectory() as temporary:
                if not any(file.path == name for file in client.list_artifacts(run_id)):
                    return None
                return Path(client.download_artifacts(run_id, name, temporary)).read_text("utf-8")
        except RegistryError:
            raise
        except Exception as error:  # each artifact store's client raises what it likes
            raise RegistryError(
                f"'{name}' of run {run_id} cannot be read: {root_cause(error)}; "
                f"start what keeps the artifacts, then: streamscore doctor"
            ) from error

    @contextmanager
    def _reaching(self) -> Iterator["MlflowClient"]:
        """MLflow's client; whatever it raises becomes a `RegistryError` in one line."""
        mlflow = import_mlflow()
        from requests import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            if self._client is None:
                assert_usable(self.tracking_uri)
                assert_usable(self.registry_uri)
                self._client = mlflow.MlflowClient(self.tracking_uri, self.registry_uri)
            yield self._client
        except (
            mlflow.exceptions.MlflowException,
            RequestException,
            SQLAlchemyError,
            OSError,
            *object_store_errors(),
        ) as error:
            raise RegistryError(
                f"the registry at {without_password(self.registry_uri)} does not answer as it should: "
                f"{root_cause(error)}; start it or set MLFLOW_TRACKING_URI, then: streamscore doctor"
            ) from error
