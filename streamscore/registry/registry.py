"""A model registry and the tracking store beside it: where they are, what reads them, what writes to them.

MLflow takes seconds to import, so that happens at the first call, never at import; building a `Registry` is free.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.settings import Settings, as_variables, load_settings
from streamscore.registry.connection import Connection
from streamscore.registry.mlflow_module import import_mlflow, sqlite_path, sqlite_uri
from streamscore.registry.model_uri import ModelRef, VersionInfo
from streamscore.registry.promotions import Promotion
from streamscore.registry.reader import ALIAS, STAGE, RegistryReader
from streamscore.registry.requirements import requirements_differences, signature
from streamscore.registry.store.folder_store import FolderStore
from streamscore.registry.store.mlflow_store import PLACE, MlflowStore
from streamscore.registry.store.model_store import ModelStore
from streamscore.registry.writer import CANDIDATE, PROMOTED_AT, PROMOTED_BY, RegistryWriter
from streamscore.storage.places import open_folder, place

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

__all__ = [
    "ALIAS",
    "CANDIDATE",
    "PROMOTED_AT",
    "PROMOTED_BY",
    "STAGE",
    "ModelRef",
    "Promotion",
    "Registry",
    "VersionInfo",
    "open_registry",
    "requirements_differences",
    "signature",
    "signature_of",
]


class Registry:
    """One registry for those who use it: what `RegistryReader` and `RegistryWriter` can do, on one connection.

    Attributes:
        models: which versions may be loaded.
        store: the model store of the settings, which `store:/` URIs are of.
        variables: the environment in which another process opens this registry, with these limits and this store.
    """

    def __init__(self, connection: Connection, store: ModelStore) -> None:
        self.connection, self.store = connection, store
        reader = RegistryReader(connection, store)
        self.resolve, self.download, self.mlmodel = reader.resolve, reader.download, reader.mlmodel
        self.metrics, self.heads = reader.metrics, reader.heads
        self.version = reader.version
        self.versions, self.versions_tagged = reader.versions, reader.versions_tagged
        self.in_production, self.history, self.run_file = reader.in_production, reader.history, reader.run_file
        writer = RegistryWriter(connection, reader)
        self.experiment, self.add_version, self.tag_version = writer.experiment, writer.add_version, writer.tag_version
        self.make_candidate, self.promote, self.rollback = writer.make_candidate, writer.promote, writer.rollback
        self.active = connection.active
        self.tracking_uri, self.registry_uri = connection.tracking_uri, connection.registry_uri
        self.models = connection.models
        self.variables = connection.variables | as_variables("store", {"path": store.place})


def signature_of(mlmodel: dict[str, Any]) -> "ModelSignature | None":
    """The signature in a `MLmodel` file; None if the model was logged without one."""
    import_mlflow()
    from mlflow.models import ModelSignature

    given = mlmodel.get("signature")
    return ModelSignature.from_dict(given) if isinstance(given, dict) else None


def open_registry(settings: Settings | None = None) -> Registry:
    """The registry of the settings; else of MLflow's own variables; else SQLite and a folder under `./var`.

    Artifacts of a database without a server lie in `mlartifacts` beside a SQLite file, else in `./var/mlartifacts`.
    Nothing is asked yet: the first method that needs the registry reaches it.

    Args:
        settings: `load_settings()` where none are given.
    """
    settings = settings or load_settings()
    var = Path.cwd() / "var"
    tracking = settings.registry.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
    if not tracking:
        var.mkdir(parents=True, exist_ok=True)
        tracking = sqlite_uri(var / "mlflow.db")
    registry = settings.registry.registry_uri or os.environ.get("MLFLOW_REGISTRY_URI", "") or tracking
    folder = None
    if tracking.startswith("sqlite:"):
        folder = (sqlite_path(tracking).parent / "mlartifacts").as_uri()
    elif "://" in tracking and not tracking.startswith(("http", "file", "databricks", "uc")):
        folder = (var / "mlartifacts").as_uri()
    connection = Connection(tracking, registry, folder, settings.models, settings.storage)
    if settings.store.path == PLACE:
        return Registry(connection, MlflowStore(connection))
    return Registry(connection, FolderStore(open_folder(place(settings.store.path, ""), settings.storage)))
