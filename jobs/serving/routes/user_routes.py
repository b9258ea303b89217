"""Predictions and forecasts for a user: the table of routes says by which model."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobs.serving.models.load import Served
from jobs.serving.models.served_model import ServedModel
from jobs.serving.models.served_series import ServedSeries
from jobs.serving.requests.answers import problem
from jobs.serving.routes.forecast_routes import forecast
from jobs.serving.routes.model_routes import predict
from jobs.serving.service import Handle, Service, of_rows, of_series, routing

ROUTES_VERSION = "x-routes-version"

AServed = TypeVar("AServed", ServedModel, ServedSeries)
Answer = Callable[[Service, Request, str, Callable[[], Awaitable[AServed]]], Awaitable[Response]]


def user_routes(service: Service) -> list[Route]:
    """The routes below `/predict` and `/forecast`."""
    route = routing(service, problem)
    return [
        route("/predict/{user:path}", _by_route(predict, of_rows), "POST"),
        route("/forecast/{user:path}", _by_route(forecast, of_series), "POST"),
    ]


def _by_route(answer: Answer[AServed], of_kind: Callable[[Served], AServed]) -> Handle:
    """Answers by the model that the user's route names."""

    async def handle(service: Service, request: Request, identity: str) -> Response:
        user, table = request.path_params["user"], service.routes.table

        async def find() -> AServed:
            return of_kind(await service.user_model(user, table))

        answered = await answer(service, request, identity, find)
        answered.headers[ROUTES_VERSION] = table.version
        return answered

    return handle
