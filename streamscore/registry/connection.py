"""The way to a model registry and the tracking store beside it: every call in bounded time, every error in one line.

MLflow takes seconds to import, so that happens at the first call, never at import.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import RegistryError
from schemas.passwords import with_encoded_password
from schemas.settings import Models, Storage, as_variables
from streamscore.registry.mlflow_module import (
    assert_usable,
    import_mlflow,
    object_store_errors,
    root_cause,
)
from streamscore.registry.process_variables import ProcessVariables, put_back
from streamscore.storage.object_store import mlflow_environment

if TYPE_CHECKING:
    from mlflow import MlflowClient

STORE_ATTEMPTS = "2"  # of a request for artifacts in S3, 60 s each: MLflow's client knows no shorter ones

_one_at_a_time = threading.RLock()  # MLflow has one tracking and one registry URI a process
_variables = ProcessVariables()


def store_variables(storage: Storage) -> dict[str, str]:
    """What MLflow reaches artifacts in the settings' object store by."""
    return mlflow_environment(storage) | {"AWS_MAX_ATTEMPTS": os.environ.get("AWS_MAX_ATTEMPTS", STORE_ATTEMPTS)}


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
        self.tracking_uri = with_encoded_password(tracking_uri)
        self.registry_uri = with_encoded_password(registry_uri)
        self.artifacts = artifacts  # URI of new experiments' artifacts; null: the server's choice
        self.models = models or Models()
        self._storage = storage or Storage()
        self.client: MlflowClient | None = None
        self._opening = threading.Lock()

    @contextmanager
    def active(self) -> Iterator[Any]:
        """MLflow's module, set to this registry: for calls that know no other way, as those of a training run.

        Both URIs belong to the whole process, so that only one thread at a time is in here; it may be so again.
        MLflow exports them to the environment, where they would outrank a later default: that is undone.
        """
        names = "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"
        with _one_at_a_time, self.store_variables(), self.reaching():
            mlflow = import_mlflow()
            before = {name: os.environ.get(name) for name in names}
            try:
                if mlflow.get_tracking_uri() != self.tracking_uri:
                    mlflow.set_tracking_uri(self.tracking_uri)
                if mlflow.get_registry_uri() != self.registry_uri:
                    mlflow.set_registry_uri(self.registry_uri)
                yield mlflow
            finally:
                for name in [name for name in names if os.environ.get(name) != before[name]]:
                    put_back(name, before[name])

    def store_variables(self) -> AbstractContextManager[None]:
        """Within it, MLflow reaches artifacts in the settings' object store; for any number of threads."""
        return _variables.of(store_variables(self._storage))

    def fetch(self, where: "Callable[[MlflowClient], str]", uri: str, file: str, folder: Path) -> Path:
        """Download artifacts, or one file of them, into a folder.

        Args:
            where: finds their place, so that MLflow need not ask the registry of the whole process.
            uri: what stands for them in a registry of Databricks or Unity Catalog, which says no place.
        """
        asks_itself = self.registry_uri.startswith(("databricks", "uc:"))
        with self.active() if asks_itself else self.store_variables(), self.reaching() as client:
            mlflow = import_mlflow()
            place = uri if asks_itself else where(client)
            place = f"{place}/{file}" if file else place
            return Path(
                mlflow.artifacts.download_artifacts(
                    artifact_uri=place, dst_path=str(folder), tracking_uri=self.tracking_uri
                )
            )

    @property
    def variables(self) -> dict[str, str]:
        """The environment in which another process opens this registry, with these limits on models and this store."""
        where = {"tracking_uri": self.tracking_uri, "registry_uri": self.registry_uri}
        return (
            as_variables("registry", where)
            | as_variables("models", self.models.model_dump(mode="json"))
            | as_variables("storage", self._storage.model_dump(mode="json"))
        )

    @contextmanager
    def reaching(self) -> Iterator["MlflowClient"]:
        """MLflow's client; whatever it raises becomes a `RegistryError` in one line."""
        mlflow = import_mlflow()
        from requests import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield self._open(mlflow)
        except (
            mlflow.exceptions.MlflowException,
            RequestException,
            SQLAlchemyError,
            OSError,
            *object_store_errors(),
        ) as error:
            msg = (
                f"the registry at {self.registry_uri} does not answer as it should: "
                f"{root_cause(error)}; start it or set MLFLOW_TRACKING_URI, then: streamscore doctor"
            )
            raise RegistryError(msg) from error

    def _open(self, mlflow: Any) -> "MlflowClient":
        with self._opening:  # of two threads at once, both would make the tables of a new database
            if self.client is None:
                assert_usable(self.tracking_uri)
                assert_usable(self.registry_uri)
                self.client = mlflow.MlflowClient(self.tracking_uri, self.registry_uri)
            return self.client
