"""The application: its routes, its models, and what runs beside the requests."""

import asyncio
import contextlib
import gc
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.applications import Starlette

from jobs.serving.access.admin_server import admin_server, admin_socket
from jobs.serving.access.followed_keys import FollowedKeys
from jobs.serving.access.keys import Keys
from jobs.serving.drain import DRAIN, drain_at_sigterm
from jobs.serving.models.feed_history import FeedHistories
from jobs.serving.models.model_table import ModelTable
from jobs.serving.models.quiet_load import sharing_the_interpreter
from jobs.serving.models.wishes import WISHES, Wishes
from jobs.serving.openapi.document import openapi_routes
from jobs.serving.request_log.log import RequestLog
from jobs.serving.request_log.seen import SeenRequests
from jobs.serving.routes.forecast_routes import forecast_routes
from jobs.serving.routes.kserve_routes import kserve_routes
from jobs.serving.routes.metrics_route import metrics_route
from jobs.serving.routes.mlflow_routes import mlflow_routes
from jobs.serving.routes.model_routes import model_routes
from jobs.serving.routes.not_there import not_there
from jobs.serving.routes.repository_routes import admin_repository_routes, repository_routes
from jobs.serving.routes.store_routes import store_routes
from jobs.serving.routes.user_routes import user_routes
from jobs.serving.routes.v2_routes import v2_routes
from jobs.serving.routing.shadows import Shadows
from jobs.serving.service import Service
from jobs.serving.watching.failures import FailureLines
from jobs.serving.watching.metrics import ServiceMetrics
from schemas.errors import StreamscoreError
from schemas.settings import Settings, load_settings
from streamscore import __version__
from streamscore.logs import configure_logging
from streamscore.registry.registry import open_registry
from streamscore.routing.followed import open_routes

log = structlog.get_logger()

KEYS_SECONDS = 1.0  # between two looks at the file of the settings
COUNT_SECONDS = 1.0
RETRY_SECONDS = 5.0  # between two tries to load the models that are wanted before readiness


def create_worker() -> FastAPI:
    """The application of one of several processes, by the settings of its environment."""
    configure_logging(debug=False)
    return create_app(load_settings(), Path(os.environ[WISHES]))


def create_app(settings: Settings, wishes: Path | None = None) -> FastAPI:
    """The application of one process.

    Args:
        wishes: the file by which several workers tell each other what to load.
    """
    predicting = ThreadPoolExecutor(os.cpu_count() or 1, "predict")
    registry, users = open_registry(settings), open_routes(settings.routing)
    table = ModelTable(registry, settings, predicting)
    keys, histories = Keys(settings.serving.keys), FeedHistories(settings)
    followed = FollowedKeys(keys, settings)
    service = Service(table, settings.serving, histories, keys, users, registry, Wishes(wishes))
    of_admins = [*store_routes(service), *admin_repository_routes(service)]
    admin, bound = Starlette(routes=of_admins), admin_socket(settings.serving)
    requests = RequestLog(settings) if settings.request_log.share else None
    shadows = Shadows(table, requests, settings.routing) if requests else None
    metrics = ServiceMetrics(table.cache, service.gate, requests, shadows.counts if shadows else {})

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        beside = [
            asyncio.create_task(_get_ready(table, settings.serving.models)),
            asyncio.create_task(_follow(service, followed, settings)),
            asyncio.create_task(_count(metrics)),
        ]
        drain = drain_at_sigterm(table.drain, settings.serving.drain_seconds)
        if requests and shadows:
            requests.start()
            beside.append(asyncio.create_task(shadows.run()))
        async with sharing_the_interpreter(), admin_server(admin, bound):
            yield {DRAIN: drain}
            table.drain()
        for task in beside:
            task.cancel()
        if requests:
            await asyncio.to_thread(requests.stop)

    app = FastAPI(
        title="streamscore", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    _add_routes(app, service, metrics)
    logged = [requests.done, shadows.done] if requests and shadows else []
    app.add_middleware(SeenRequests, done=[metrics.answered, FailureLines().answered, *logged])
    return app


def _add_routes(app: FastAPI, service: Service, metrics: ServiceMetrics) -> None:
    of_mlflow_and_v2 = mlflow_routes, v2_routes, repository_routes
    for routes in (*of_mlflow_and_v2, model_routes, forecast_routes, user_routes, kserve_routes, openapi_routes):
        app.router.routes.extend(routes(service))
    for status in (404, 405):
        app.add_exception_handler(status, not_there)
    app.router.routes.append(metrics_route(service, metrics))


async def _get_ready(table: ModelTable, uris: tuple[str, ...]) -> None:
    """Load what is wanted first, however long the registry takes to come up."""
    while True:
        try:
            await table.start(uris)
            break
        except StreamscoreError as error:
            log.error("not_ready", detail=str(error).splitlines()[0])
            await asyncio.sleep(RETRY_SECONDS)
    gc.collect()
    gc.freeze()  # what is there now stays: a collection that walks MLflow and pandas stops all requests for 0.1 s
    log.info("ready", models=list(uris))


async def _follow(service: Service, keys: FollowedKeys, settings: Settings) -> None:
    """Take up what others change: promotions, routes, keys, and what other workers were asked to load; for ever."""
    await asyncio.gather(
        service.table.follow(settings.registry.poll_seconds),
        _again_and_again(service.routes.look, settings.routing.poll_seconds),
        _again_and_again(keys.look, KEYS_SECONDS),
        service.follow_wishes(),
    )


async def _again_and_again(look: Callable[[], None], seconds: float) -> None:
    """Take up what somebody changes; for ever."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await asyncio.to_thread(look)
        except Exception:  # it goes on with what it has
            log.exception("look_failed", of=look.__qualname__)


async def _count(metrics: ServiceMetrics) -> None:
    """Let the metrics take over what is counted elsewhere; for ever."""
    while True:
        await asyncio.sleep(COUNT_SECONDS)
        metrics.take()
