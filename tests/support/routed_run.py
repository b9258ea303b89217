"""The models of a routed feed's stream, without Spark."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.streaming.routed.load import VersionLoader
from jobs.streaming.routed.models import RoutedModels
from jobs.streaming.routed.records import RoutedRecords
from schemas.settings import load_settings
from streamscore.models.cache import Limits
from streamscore.registry.registry import Registry
from streamscore.routing.followed import open_routes
from streamscore.storage.folder import LocalFolder
from tests.support.routed_kit import feed_of, write_routes

FEED = feed_of()


class Run:
    """The models of one run after the other, over one checkpoint."""

    def __init__(self, root: Path, registry: Registry) -> None:
        self.root, self.registry = root, registry
        self.told: list[tuple[str, str, str]] = []  # kind, name, version
        self._started: list[RoutedModels] = []

    def put(self, **aliases: str) -> None:
        """What is in Production."""
        with self.registry.active() as mlflow:
            for name, version in aliases.items():
                mlflow.MlflowClient().set_registered_model_alias(name, "production", version)

    def take_away(self, name: str) -> None:
        with self.registry.active() as mlflow:
            mlflow.MlflowClient().delete_registered_model_alias(name, "production")

    def routes(self, **said: Any) -> None:
        write_routes(self.root / "routes.yaml", said)

    def start(
        self, replay_until: int = -1, output: pa.DataType | None = None, registry: Registry | None = None, **flags: Any
    ) -> RoutedModels:
        def tell(kind: str, name: str, version: str, detail: str, batch_id: int | None = None) -> None:
            self.told.append((kind, name, version))

        own = {"routing.routes": str(self.root / "routes.yaml"), "routing.poll_seconds": 0.05}
        settings = load_settings(flags=own | {"registry.poll_seconds": 0.05} | flags)
        loader = VersionLoader(FEED, registry or self.registry, self.root / "models", tell)
        records = RoutedRecords(LocalFolder(self.root / "checkpoint"))
        limits = Limits(settings.routing.max_models, 2**30, patience=30, block="routing")
        made = RoutedModels(
            settings, registry or self.registry, open_routes(settings.routing), records, loader, limits, tell
        )
        self._started.append(made)
        made.start(output, replay_until)
        return made

    def close(self) -> None:
        for one in self._started:
            one.stop()
