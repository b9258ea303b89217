"""The models that answer: loaded at first use, followed in the registry, exchanged without a request lost."""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import structlog

from jobs.serving.models.load import Served, load_served
from jobs.serving.requests.problems import RequestError
from schemas.errors import ContractError, RegistryError, StreamscoreError
from schemas.settings import Settings
from streamscore.registry.model_uri import NOT_THERE, STORE, ModelRef
from streamscore.registry.registry import Registry

log = structlog.get_logger()
T = TypeVar("T")

FIRST_WAIT, LONGEST_WAIT = 1.0, 300.0  # seconds between two tries to load what failed
REMEMBERED = 1000  # URIs that failed


@dataclass(slots=True)
class _Failure:
    """Why a URI has no model.

    Attributes:
        until: when it is tried again, by `time.monotonic`.
        wait: how long it was waited for since.
    """

    error: RequestError
    until: float
    wait: float


@dataclass(slots=True)
class _Entry:
    """A URI that somebody asked for."""

    served: Served
    pinned: bool = False
    refused: set[str] = field(default_factory=set)  # versions that were promoted and could not be loaded


class ModelTable:
    """The loaded versions by the URIs that stand for them.

    A request keeps the version that it found, whatever takes its place meanwhile.
    """

    def __init__(self, registry: Registry, settings: Settings, predicting: Executor) -> None:
        self._registry, self._settings, self._predicting = registry, settings, predicting
        self._folder = Path(settings.scratch.format(feed="serving")).absolute() / "models"
        self._loaders = ThreadPoolExecutor(1, "load")
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._loading: dict[str, asyncio.Task[Served]] = {}
        self._failures: OrderedDict[str, _Failure] = OrderedDict()
        self.default = ""
        self.is_ready = False

    async def start(self, uris: Sequence[str]) -> None:
        """Load the models that are wanted from the first request on.

        Raises:
            StreamscoreError: one of them cannot be served.
        """
        for uri in uris:
            served = await self._in_thread(self._load, uri)
            self._entries[uri] = _Entry(served, pinned=True)
        self.default = self._settings.serving.default_model or (uris[0] if uris else "")
        self.is_ready = True

    def loaded(self) -> dict[str, Served]:
        """What is in memory, by URI."""
        return {uri: entry.served for uri, entry in self._entries.items()}

    def named(self, name: str) -> str:
        """The URI of a model in the store that was wanted from the first request on; empty: none of that name."""
        uris = (uri for uri, entry in self._entries.items() if entry.pinned and uri.startswith(f"{STORE}{name}/"))
        return next(uris, "")

    async def production(self) -> list[str]:
        """The names of all registered models with a version in Production."""
        return await self._in_thread(self._in_production)

    async def get(self, uri: str) -> Served:
        """The version that a URI stands for; loaded if nobody asked for it before, once however many wait.

        Raises:
            RequestError: no such model or version (404), it cannot be served (409), or no answer of the registry (503).
        """
        if entry := self._entries.get(uri):
            self._entries.move_to_end(uri)
            return entry.served
        if (failure := self._failures.get(uri)) and time.monotonic() < failure.until:
            raise failure.error
        if uri not in self._loading:
            self._loading[uri] = asyncio.create_task(self._enter(uri))
        return await asyncio.shield(self._loading[uri])

    async def follow(self, poll_seconds: float) -> None:
        """Exchange what the registry has promoted since; for ever."""
        while True:
            await asyncio.sleep(poll_seconds)
            for uri, entry in list(self._entries.items()):
                with contextlib.suppress(RegistryError):  # it goes on with the version that it has
                    await self._look_again(uri, entry)

    async def _look_again(self, uri: str, entry: _Entry) -> None:
        ref = await asyncio.to_thread(self._registry.resolve, uri)
        if ref.model == entry.served.model.identity or ref.version in entry.refused:
            return
        try:
            served = await self._in_thread(self._load_ref, ref)
        except StreamscoreError as error:
            entry.refused.add(ref.version)
            log.warning("refused", model=ref.name, version=ref.version, detail=str(error).splitlines()[0])
            return
        entry.served, entry.refused = served, set()
        log.info("swapped", model=ref.name, version=ref.version)

    async def _enter(self, uri: str) -> Served:
        try:
            served = await self._in_thread(self._load, uri)
        except StreamscoreError as error:
            raise self._remember(uri, error) from error
        finally:
            del self._loading[uri]
        self._failures.pop(uri, None)
        self._entries[uri] = _Entry(served)
        while len(self._entries) > self._settings.serving.max_models:
            oldest = next((u for u, e in self._entries.items() if not e.pinned and u != uri), None)
            if oldest is None:
                break
            del self._entries[oldest]
        return served

    def _remember(self, uri: str, error: StreamscoreError) -> RequestError:
        """The failure as requests hear of it, until it is time to try again."""
        before = self._failures.pop(uri, None)
        wait = min(2 * before.wait, LONGEST_WAIT) if before else FIRST_WAIT
        if _is_missing(error):
            said = RequestError(404, f"no model for {uri}; what there is: GET /models")
            wait = FIRST_WAIT
        elif isinstance(error, ContractError):
            said = RequestError(409, str(error).splitlines()[0])
        else:
            said = RequestError(503, "the model registry does not answer", headers={"Retry-After": str(round(wait))})
        self._failures[uri] = _Failure(said, time.monotonic() + wait, wait)
        while len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)
        log.warning("not_loaded", uri=uri, detail=str(error).splitlines()[0])
        return said

    async def _in_thread(self, call: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._loaders, call, *arguments)

    def _load(self, uri: str) -> Served:
        return self._load_ref(self._registry.resolve(uri))

    def _load_ref(self, ref: ModelRef) -> Served:
        path = self._registry.download(ref, self._folder)
        return load_served(path, ref, self._predicting, self._settings.serving)

    def _in_production(self) -> list[str]:
        with self._registry.connection.reaching() as client:
            names = [model.name for model in client.search_registered_models(max_results=1000)]
        return [name for name in names if self._registry.in_production(name)]


def _is_missing(error: StreamscoreError) -> bool:
    cause = error.__cause__
    return isinstance(error, RegistryError) and (
        isinstance(cause, LookupError) or getattr(cause, "error_code", "") in NOT_THERE
    )
