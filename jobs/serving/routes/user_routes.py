"""Predictions and forecasts for a user: the table of routes says by which model."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobs.serving.models.served_model import ServedModel
from jobs.serving.models.served_series import ServedSeries
from jobs.serving.requests.answers import problem
from jobs.serving.routes.forecast_routes import forecast
from jobs.serving.routes.model_routes import predict
from jobs.serving.service import Service, of_rows, of_series, routing

ROUTES_VERSION = "x-routes-version"


def user_routes(service: Service) -> list[Route]:
    """The routes below `/predict` and `/forecast`."""
    route = routing(service, problem)
    return [
        route("/predict/{user:path}", _predict, "POST"),
        route("/forecast/{user:path}", _forecast, "POST"),
    ]


async def _predict(service: Service, request: Request, identity: str) -> Response:
    user, table = request.path_params["user"], service.routes.table

    async def find() -> ServedModel:
        return of_rows(await service.user_model(user, table))

    answer = await predict(service, request, identity, find)
    answer.headers[ROUTES_VERSION] = table.version
    return answer


async def _forecast(service: Service, request: Request, identity: str) -> Response:
    user, table = request.path_params["user"], service.routes.table

    async def find() -> ServedSeries:
        return of_series(await service.user_model(user, table))

    answer = await forecast(service, request, identity, find)
    answer.headers[ROUTES_VERSION] = table.version
    return answer
