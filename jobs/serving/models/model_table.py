"""Which version answers for a URI: followed in the registry, and exchanged without a request lost."""

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import structlog

from jobs.serving.models.about import about
from jobs.serving.models.leases import hold
from jobs.serving.models.load import Served, load_served
from jobs.serving.models.quiet_load import beside_requests
from jobs.serving.requests.problems import RequestError, without_paths
from schemas.errors import ContractError, NoRoomError, RegistryError, StreamscoreError
from schemas.settings import Serving, Settings
from streamscore.models.cache import Limits, Loaded, ModelCache, Reserve
from streamscore.models.failures import Failures
from streamscore.models.lease import Lease
from streamscore.registry.manifest import wanted_manifest
from streamscore.registry.model_uri import STORE, model_name
from streamscore.registry.reader import ALIAS, STAGE
from streamscore.registry.registry import Registry
from streamscore.registry.version_key import VersionKey, is_missing, may_move, resolve_key, version_in
from streamscore.spark.before_start import this_machine

log = structlog.get_logger()
T = TypeVar("T")

MOST_URIS = 100_000  # that are remembered with the version that they stand for
FEW = 20  # URIs that are asked for one by one
SEEN_SECONDS = 8.5  # after a promotion, so that it is served within 10: one search misses it, and the next one ends
MISSING_SECONDS = 1.0  # how long a URI without a version is not looked for again


@dataclass(slots=True)
class _Followed:
    """A URI that somebody asked for.

    Attributes:
        wanted: whether it was named at the start, and stays in memory.
        told: the version that was promoted and could not be loaded, if the log says so already.
    """

    key: VersionKey
    wanted: bool = False
    told: str = ""


class ModelTable:
    """The loaded versions by the URIs that stand for them; for one event loop.

    A request keeps the version that it found, whatever takes its place meanwhile.
    """

    def __init__(self, registry: Registry, settings: Settings, predicting: Executor) -> None:
        self._registry, self._settings, self._predicting = registry, settings, predicting
        self._folder = Path(settings.scratch.format(feed="serving")).absolute() / "models"
        serving = settings.serving
        self.cache = ModelCache[VersionKey, Served](self._load, _limits(serving))
        self._asking = ThreadPoolExecutor(2, "registry")
        self._followed: OrderedDict[str, _Followed] = OrderedDict()
        self._resolving: dict[str, asyncio.Task[_Followed]] = {}
        self._exchanging: dict[str, asyncio.Task[None]] = {}
        self._failures: Failures[str] = Failures()
        self.unloaded: set[str] = set()  # names of models that an operator took out of memory
        wanted = settings.serving.models
        self._of_store = {model_name(uri): uri for uri in reversed(wanted) if uri.startswith(STORE)}
        self.default = ""
        self._is_loaded = self._is_draining = False

    async def start(self, uris: Sequence[str]) -> None:
        """Load the models that are wanted from the first request on.

        Raises:
            StreamscoreError: one of them cannot be served.
        """
        for uri in uris:
            key = await self._in_thread(self._resolve, uri)
            with await asyncio.wrap_future(self.cache.ask(key)):
                self.cache.pin(key)
            self._followed[uri] = _Followed(key, wanted=True)
        self.default = self._settings.serving.default_model or (uris[0] if uris else "")
        self._is_loaded = True

    @property
    def is_ready(self) -> bool:
        """Whether the models that are wanted first answer, and requests may still come."""
        return self._is_loaded and not self._is_draining

    def drain(self) -> None:
        """Requests should go elsewhere from now on."""
        self._is_draining = True

    def loaded(self) -> dict[str, Served]:
        """What is in memory, by URI."""
        there = self.cache.loaded()
        return {uri: there[followed.key] for uri, followed in self._followed.items() if followed.key in there}

    def loaded_versions(self) -> list[Served]:
        """What is in memory, by name and version."""
        there = [served for served in self.cache.loaded().values() if served.model.name not in self.unloaded]
        return sorted(there, key=lambda served: (served.model.name, served.model.version))

    def named(self, name: str) -> str:
        """The URI of a model in the store that the service was started with; empty: none of that name."""
        return self._of_store.get(name, "")

    async def load(self, uri: str) -> Served:
        """The newest version that a URI stands for, in memory from now on.

        Raises:
            RequestError: as `get`.
        """
        self.unloaded.discard(model_name(uri))
        self._failures.forget(uri)
        if followed := self._followed.get(uri):
            self.cache.retry(followed.key)
            await self._exchange(uri, followed)
        served = await self.get(uri)
        if (followed := self._followed.get(uri)) and followed.wanted:
            self.cache.pin(followed.key)
        return served

    def unload(self, name: str) -> None:
        """Take all versions of a model out of memory; requests to it are refused until it is loaded again."""
        self.unloaded.add(name)
        for key, served in self.cache.loaded().items():
            if served.model.name == name:
                self.cache.drop(key)

    async def about(self, served: Served) -> dict[str, Any]:
        """What else is known of a version: see `about`."""
        return await self._in_thread(about, self._registry, served.model.identity)

    async def production(self) -> list[str]:
        """The names of all registered models with a version in Production."""
        heads = await self._in_thread(self._registry.heads)
        return sorted(name for name, head in heads.items() if ALIAS in head.aliases or STAGE.lower() in head.stages)

    async def get(self, uri: str) -> Served:
        """The version that a URI stands for; loaded if it is not in memory, once however many wait.

        Raises:
            RequestError: no such model or version (404), it cannot be served (409), it does not fit into memory (507),
                or the registry does not answer or there is no room now (503).
        """
        if self.unloaded and (name := model_name(uri)) in self.unloaded:
            raise RequestError(404, f"model {name} was unloaded; to load it: POST /v2/repository/models/{name}/load")
        followed = self._followed.get(uri) or await self._follow(uri)
        lease = self.cache.get(followed.key)
        if lease is None:
            try:
                lease = await asyncio.wrap_future(self.cache.ask(followed.key))
            except StreamscoreError as error:
                raise self._refusal(uri, error) from error
        return cast("Served", hold(lease))

    async def follow(self, poll_seconds: float) -> None:
        """Exchange what the registry has promoted since; for ever.

        A search of 10,000 models takes this process two seconds; it rests four times as long, if that is not too long.
        """
        took = 0.0
        while True:
            await asyncio.sleep(max(poll_seconds, min(4 * took, SEEN_SECONDS - 2 * took)))
            began = time.monotonic()
            try:
                await self._look_again()
            except RegistryError as error:  # it goes on with the versions that it has
                log.warning("registry_silent", detail=str(error).splitlines()[0])
            except Exception:
                log.exception("poll_failed")
            took = time.monotonic() - began

    async def _look_again(self) -> None:
        """Ask for each URI where they are few, else search all models once, and ask for those that have changed."""
        self._exchanging = {uri: task for uri, task in self._exchanging.items() if not task.done()}
        moving = {u: one for u, one in self._followed.items() if u not in self._exchanging and may_move(u)}
        for uri in [uri for uri, one in moving.items() if one.key not in self.cache and not one.wanted]:
            del moving[uri], self._followed[uri]  # whoever asks again finds out
        heads = await self._in_thread(self._registry.heads) if len(moving) > FEW else {}
        for uri, one in moving.items():
            if version_in(heads, uri) != one.key.model.version:
                self._exchanging[uri] = asyncio.create_task(self._exchange(uri, one))

    async def _exchange(self, uri: str, followed: _Followed) -> None:
        """Put what a URI stands for now in the place of what it stood for.

        1. Load and warm the new version beside the old one, if that is in memory.  2. Answer with the new one.
        3. Free the old one when the requests that use it are answered.
        """
        try:
            key, old = await self._in_thread(self._resolve, uri), followed.key
        except StreamscoreError:  # it is gone, or the registry is: what is there goes on
            return
        if key == old:
            return
        lease: Lease[Served] | None = None
        if old in self.cache:
            # 1
            try:
                lease = await asyncio.wrap_future(self.cache.ask(key))
            except Exception as error:
                if followed.told != key.model.version:
                    followed.told = key.model.version
                    detail = str(error).splitlines()[0]
                    log.warning("refused", model=key.model.name, version=key.model.version, detail=detail)
                return
            self.cache.pin(key, followed.wanted)
        # 2
        followed.key, followed.told = key, ""
        log.info("swapped", model=key.model.name, version=key.model.version)
        if lease:
            lease.release()
        # 3
        if all(one.key != old for one in self._followed.values()):
            self.cache.drop(old)

    async def _follow(self, uri: str) -> _Followed:
        """What a URI stands for, asked once however many wait."""
        if error := self._failures.get(uri):
            raise self._refusal(uri, error)
        if uri not in self._resolving:
            self._resolving[uri] = asyncio.create_task(self._enter(uri))
            self._resolving[uri].add_done_callback(_heard)
        try:
            return await asyncio.shield(self._resolving[uri])
        except StreamscoreError as error:
            raise self._refusal(uri, error) from error

    async def _enter(self, uri: str) -> _Followed:
        try:
            key = await self._in_thread(self._resolve, uri)
        except StreamscoreError as error:
            self._failures.remember(uri, error, MISSING_SECONDS if is_missing(error) else None)
            raise
        finally:
            del self._resolving[uri]
        self._failures.forget(uri)
        self._followed[uri] = followed = _Followed(key)
        if len(self._followed) > MOST_URIS:
            oldest = next(one for one, of in self._followed.items() if not of.wanted)
            del self._followed[oldest]
        return followed

    def _refusal(self, uri: str, error: Exception) -> RequestError:
        """A failure as requests hear of it."""
        line = without_paths(str(error).splitlines()[0])
        if is_missing(error):
            return RequestError(404, f"no model for {uri}; what there is: GET /models")
        if isinstance(error, ContractError):
            return RequestError(error.http_status, line)
        if isinstance(error, NoRoomError):
            return RequestError(503, line, headers={"Retry-After": str(round(error.retry_seconds))})
        return RequestError(503, "the model registry does not answer", headers={"Retry-After": "1"})

    async def _in_thread(self, call: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._asking, call, *arguments)

    def _resolve(self, uri: str) -> VersionKey:
        return resolve_key(self._registry, uri)

    def _load(self, key: VersionKey, reserve: Reserve) -> Loaded[Served]:
        try:
            if manifest := wanted_manifest(key.ref, self._registry.models):
                reserve(sum(size for _, size in manifest.files.values()))
            path = self._registry.download(key.ref, self._folder)
            with beside_requests():
                served = load_served(path, key.ref, self._predicting, self._settings.serving)
        except StreamscoreError as error:
            log.warning("not_loaded", uri=key.ref.uri, version=key.model.version, detail=str(error).splitlines()[0])
            raise
        return Loaded(served, served.model.memory())


def _heard(done: "asyncio.Task[_Followed]") -> None:
    """A failure is no news for the log where all who waited have gone."""
    if not done.cancelled():
        done.exception()


def _limits(serving: Serving) -> Limits:
    """Of one process: of the memory for models, the workers have equal parts."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    most = serving.max_model_bytes or min(this_machine().memory or machine, machine) // 2
    return Limits(serving.max_models, most // serving.workers)
