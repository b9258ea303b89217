"""What all routes share: the models, the settings, and one way from a body to an answer."""

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import quote

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from jobs.serving.access.keys import OPEN, Keys, assert_may_ask
from jobs.serving.models.feed_history import FeedHistories
from jobs.serving.models.leases import holding_models
from jobs.serving.models.load import Served
from jobs.serving.models.model_table import ModelTable
from jobs.serving.models.served_model import Answer, Asked, ServedModel
from jobs.serving.models.served_series import Ahead, ServedSeries
from jobs.serving.models.served_series import Asked as AskedAhead
from jobs.serving.models.wishes import Wishes
from jobs.serving.request_log.record import (
    note_answer,
    note_body,
    note_forecasts,
    note_model,
    note_refusal,
    note_route,
)
from jobs.serving.requests.answers import request_id
from jobs.serving.requests.body import Body, discard_unread, read_body
from jobs.serving.requests.patience import Gate, body_is_read, in_time
from jobs.serving.requests.problems import RequestError, refused_rows
from jobs.serving.routing.user_models import UserModels
from schemas.errors import RegistryError
from schemas.settings import Serving
from streamscore.registry.model_uri import STORE, model_name
from streamscore.registry.model_version import version_uri
from streamscore.registry.reader import ALIAS
from streamscore.registry.registry import Registry
from streamscore.registry.store.semantic import LATEST, is_semantic
from streamscore.routing.followed import FollowedRoutes
from streamscore.routing.routes import ModelInfoRepository

log = structlog.get_logger()

Handle = Callable[["Service", Request, str], Awaitable[Response]]
Refusal = Callable[[RequestError, str], Response]


LONGEST_NAME = 256  # letters of a model's name or alias, by MLflow
MOST_VERSION = 2**31 - 1  # that the database of a registry holds
NO_REGISTRY = RequestError(503, "the model registry does not answer", headers={"Retry-After": "5"})


@dataclass(frozen=True, slots=True)
class Service:
    """The models and the limits of one process, and who may ask for what."""

    table: ModelTable
    settings: Serving
    histories: FeedHistories
    keys: Keys
    routes: FollowedRoutes
    registry: Registry
    wishes: Wishes
    gate: Gate = field(default_factory=Gate)

    async def body(self, request: Request) -> Body:
        """The body of a request, within the limits."""
        body = await read_body(request, self.settings.max_body_bytes)
        body_is_read(request)
        note_body(body.data)
        return body

    def uri(self, name: str) -> str:
        """What stands for a name alone: a model of the store, else the version in Production."""
        return self.table.named(name) or f"models:/{name}@{ALIAS}"

    async def rows_model(self, name: str, version: str = "") -> ServedModel:
        """As `model`, if it predicts rows."""
        return of_rows(await self.model(name, version))

    async def series_model(self, name: str, version: str = "") -> ServedSeries:
        """As `model`, if it forecasts series."""
        return of_series(await self.model(name, version))

    async def user_model(self, user: str, users: ModelInfoRepository) -> Served:
        """The model that a user has by a table of routes."""
        return await UserModels(users, self.table, self.uri).get(user)

    async def model(self, name: str, version: str = "") -> Served:
        """A model by name: its version in Production, or a version, or the version that an alias names."""
        self._assert_name(name, version)
        assert_may_ask(name)
        return await self.table.get(self._version_uri(name, version))

    def _version_uri(self, name: str, version: str) -> str:
        if not version:
            return self.uri(name)
        if version.startswith("^") or (version == LATEST and self.table.named(name)):
            return f"{STORE}{name}/{version}"
        if version == LATEST:
            return f"models:/{name}/{version}"
        is_number = version.isdecimal() or is_semantic(version)
        return version_uri(name, version) if is_number else f"models:/{name}@{version}"

    def _assert_name(self, name: str, version: str = "") -> None:
        are_names = all(
            len(text) <= LONGEST_NAME and text.isprintable() and not any(letter in text for letter in "/:@")
            for text in (name, version)
        )
        too_large = version.isdecimal() and (len(version) > 10 or int(version) > MOST_VERSION)
        if not name or not are_names or too_large:  # a registry in a database would fail, and seem to be away
            raise RequestError(404, f"no model '{name[:100]}'; what there is: GET /models")

    async def names(self) -> list[str]:
        """The models that a request may name, loaded or not; MLflow is not asked if only those of a store are served.

        Raises:
            RequestError: the registry does not answer (503).
        """
        wanted = self.settings.models
        found = {served.model.name for served in self.table.loaded_versions()} | {model_name(uri) for uri in wanted}
        if not wanted or not all(uri.startswith(STORE) for uri in wanted):
            found |= set(await self.table.production())
        return sorted(found - {""})

    async def load(self, name: str) -> Served:
        """Load a model by name, or its newest version in place of an older one; the other workers do it soon."""
        self._assert_name(name)
        self.wishes.add(name, is_loaded=True)
        return await self.table.load(self.uri(name))

    def unload(self, name: str) -> None:
        """Take a model out of memory; the other workers do it soon."""
        self._assert_name(name)
        self.wishes.add(name, is_loaded=False)
        self.table.unload(name)

    async def follow_wishes(self) -> None:
        """Load and unload what the other workers were asked to; for ever."""
        await self.wishes.follow(lambda name: self.table.load(self.uri(name)), self.table.unload)

    def loaded(self, name: str, version: str = "") -> list[Served]:
        """The loaded versions of a model, or the one of a number or an alias.

        Raises:
            RequestError: none is loaded (404).
        """
        self._assert_name(name, version)
        assert_may_ask(name)
        uri = self._version_uri(name, version)
        loaded = self.table.loaded()
        found = [loaded[uri]] if version and uri in loaded else []
        found = found or [
            s for s in self.table.loaded_versions() if s.model.name == name and version in ("", s.model.version)
        ]
        if not found:
            raise RequestError(404, f"no version of model '{name[:100]}' is loaded; what there is: GET /models")
        return found

    @property
    def default_uri(self) -> str:
        """What stands for the model of `/invocations`; empty: there is none."""
        default = self.table.default
        return self.uri(default) if default and ":/" not in default else default

    async def default_model(self) -> ServedModel:
        """The model of `/invocations`."""
        if not (default := self.default_uri):
            detail = "no model for /invocations; start the service with --model URI, or ask /models/NAME/predict"
            raise RequestError(404, detail)
        if ":/" in self.table.default:
            assert_may_ask(model_name(default) or default)
        else:
            assert_may_ask(self.table.default)
        return of_rows(await self.table.get(default))


def of_rows(served: Served) -> ServedModel:
    """A model that predicts rows.

    Raises:
        RequestError: it forecasts series (409).
    """
    if isinstance(served, ServedModel):
        note_model(served)
        return served
    name = served.model.name
    raise RequestError(409, f"model {name} forecasts series, wanted one of rows; ask /models/{name}/forecast")


def of_series(served: Served) -> ServedSeries:
    """A model that forecasts series.

    Raises:
        RequestError: it predicts rows (409).
    """
    if isinstance(served, ServedSeries):
        note_model(served)
        return served
    name = served.model.name
    raise RequestError(409, f"model {name} predicts rows, wanted one of series; ask /models/{name}/predict")


def in_path(request: Request) -> tuple[str, str]:
    """The name of a model in the path of a request, and the version or the alias; empty: there is none."""
    return request.path_params["name"], request.path_params.get("version", "")


def routing(service: Service, refusal: Refusal, admin: bool = False) -> Callable[..., Route]:
    """Makes the routes of one protocol, whose refusals are said in its words: path, handler and methods → a route.

    Args:
        admin: whether these are routes for admin keys.
    """

    def refused(error: RequestError, identity: str) -> Response:
        note_refusal(error)
        return refusal(error, identity)

    def route(path: str, handle: Handle, *methods: str) -> Route:
        let_in = service.keys.let_in_admin if admin else (lambda _: None) if path in OPEN else service.keys.let_in

        async def handler(request: Request) -> Response:
            identity = request_id(request)
            note_route(path, identity)
            try:
                let_in(request)
                with holding_models():
                    answer = functools.partial(handle, service, request, identity)
                    if admin:  # a model takes longer than rows
                        return await answer()
                    return await in_time(request, service.gate, service.settings, answer)
            except RequestError as error:
                await discard_unread(request, service.settings.max_body_bytes)
                return refused(error, identity)
            except RegistryError:
                return refused(NO_REGISTRY, identity)
            except ClientDisconnect:
                return Response(status_code=499)
            except Exception:
                log.exception("failed", request_id=identity, path=quote(request.url.path))
                return refused(RequestError(500, "the service failed; its log has the request id"), identity)

        return Route(path, handler, methods=list(methods))

    return route


async def answered(served: ServedModel, asked: Asked, partly: bool = False) -> Answer:
    """The answer of a model.

    Args:
        partly: whether rows that have no prediction are left to the caller.

    Raises:
        RequestError: a row has no prediction, and `partly` is not asked for.
    """
    note_answer(served, asked, None)
    answer = await served.predict(asked, partly)
    note_answer(served, asked, answer)
    if answer.errors and not partly:
        raise refused_rows(answer.errors)
    return answer


async def forecasts(served: ServedSeries, asked: AskedAhead) -> list[Ahead]:
    """The forecasts of a model of series.

    Raises:
        RequestError: a row is refused, or a series has no forecast.
    """
    ahead = await served.forecast(asked)
    note_forecasts(served, asked, ahead)
    return ahead
