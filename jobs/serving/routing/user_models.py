"""A user → the model that answers: by the user's route, if the caller may ask both."""

from collections.abc import Callable
from typing import Generic

import structlog

from jobs.serving.access.keys import assert_may_ask, assert_may_ask_for, may_ask
from jobs.serving.request_log.record import note_canary, note_shadow
from jobs.serving.requests.problems import RequestError
from jobs.serving.routing.repositories import AModel, ModelRepository
from streamscore.routing.routes import ModelInfoRepository, Route, is_name

log = structlog.get_logger()

LONGEST = 200  # letters of a user


class UserModels(Generic[AModel]):
    """The models of all users."""

    def __init__(
        self, users: ModelInfoRepository, models: ModelRepository[AModel], uri_of: Callable[[str], str]
    ) -> None:
        """Ask nothing yet.

        Args:
            uri_of: what stands for the name of a model alone.
        """
        self._users, self._models, self._uri_of = users, models, uri_of

    def route(self, user: str) -> Route:
        """The route of a user.

        Raises:
            RequestError: nobody knows the user (404); the user may use no model, or the caller may not ask for this
                user or this model (403).
        """
        if not 0 < len(user) <= LONGEST or not user.isprintable():
            raise RequestError(404, f"no such user, wanted 1 to {LONGEST} printable letters")
        assert_may_ask_for(user)
        route = self._users.find(user)
        if route is None:
            raise RequestError(404, "no route for this user, and no default")
        if route.model is None:
            raise RequestError(403, "this user may use no model")
        assert_may_ask(route.name)
        return route

    async def get(self, user: str) -> AModel:
        """The model of a user: the candidate of a canary, if that is tried with this user and the caller can have it.

        Raises:
            RequestError: as `route`, and as `ModelRepository.get`.
        """
        route = self.route(user)
        if route.shadow and route.shadow.has(user):
            note_shadow(self._uri(route.shadow.model))
        if route.canary and route.canary.has(user) and may_ask(route.canary.name):
            try:
                found = await self._models.get(self._uri(route.canary.model))
            except RequestError as error:  # a trial costs no user an answer
                log.warning("canary_not_loaded", model=route.canary.model, detail=error.detail)
            else:
                note_canary()
                return found
        return await self._models.get(self._uri(str(route.model)))

    def _uri(self, model: str) -> str:
        return self._uri_of(model) if is_name(model) else model
