"""The models and shadows of a run's routed feed, put together by its settings."""

from jobs.streaming.prepare import StreamRun
from jobs.streaming.routed.cache_metrics import CacheMetrics
from jobs.streaming.routed.load import VersionLoader
from jobs.streaming.routed.models import RoutedModels
from jobs.streaming.routed.records import RoutedRecords
from jobs.streaming.routed.shadows import StreamShadows
from streamscore.models.cache import Limits
from streamscore.models.watch import EventSink
from streamscore.registry.registry import open_registry
from streamscore.routing.followed import open_routes
from streamscore.spark.routed_executors import model_memory
from streamscore.storage.folder import Folder


def open_routed_models(run: StreamRun, checkpoint: Folder, tell: EventSink) -> RoutedModels:
    """The models of the routes, of which none is loaded yet.

    Raises:
        StreamscoreError: the table of routes is wrong, or cannot be read.
    """
    settings, registry = run.settings, open_registry(run.settings)
    loader = VersionLoader(run.feed, registry, run.paths.scratch / "models", tell)
    limits = Limits(
        settings.routing.max_models,
        model_memory(settings.routing),
        patience=settings.storage.retry_seconds,
        block="routing",
    )
    routes, records = open_routes(settings.routing), RoutedRecords(checkpoint)
    models = RoutedModels(settings, registry, routes, records, loader, limits, tell)
    run.metrics.registry.register(CacheMetrics(run.feed.name, models.cache))
    return models


def open_shadows(run: StreamRun, models: RoutedModels) -> StreamShadows:
    """What asks the shadows of the routes beside a run."""
    count = run.metrics.shadowed
    return StreamShadows(run.tables, models.loader, models.resolve, models.limits, run.settings.routing, count)
