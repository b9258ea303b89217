"""The service's own route of forecasts."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobs.serving.models.served_series import Ahead, Asked, ServedSeries
from jobs.serving.requests.answers import json_answer, problem, said_by, who
from jobs.serving.requests.problems import RequestError
from jobs.serving.requests.series_request import SeriesRequest, read_series_request
from jobs.serving.service import Service, forecasts, in_path, routing


def forecast_routes(service: Service) -> list[Route]:
    """`…/forecast` of each model."""
    route = routing(service, problem)
    models = ("/models/{name}", "/models/{name}/versions/{version}", "/models/{name}/aliases/{version}")
    return [route(f"{model}/forecast", _forecast, "POST") for model in models]


async def _forecast(service: Service, request: Request, identity: str) -> Response:
    name, version = in_path(request)
    return await forecast(service, request, identity, lambda: service.series_model(name, version))


async def forecast(
    service: Service, request: Request, identity: str, find: Callable[[], Awaitable[ServedSeries]]
) -> Response:
    """The forecasts of the model that `find` finds."""
    body = await service.body(request)
    served = await find()
    wanted = read_series_request(body, request.query_params, served.inputs)
    ahead = await forecasts(served, await _asked(service, served, wanted))
    names = [field.name for field in served.model.output]
    value = said_by(served, identity) | {"series": [shown(one, names) for one in ahead]}
    return json_answer(value, headers=who(served, identity))


async def _asked(service: Service, served: ServedSeries, wanted: SeriesRequest) -> Asked:
    """The observations from where the request says they are."""
    if wanted.feed:
        windows = await service.histories.windows(wanted.feed, served, wanted.key)
        return Asked(windows, wanted.steps, exog=wanted.exog)
    observations = wanted.observations if wanted.observations is not None else served.trained_on
    if observations is None:
        title = served.model.identity.title
        raise RequestError(400, f"the body has no observations, and model {title} has none; send them, or ?feed=NAME")
    return Asked(observations, wanted.steps, wanted.whole, wanted.exog)


def shown(ahead: Ahead, names: list[str]) -> dict[str, Any]:
    """One series of an answer.

    Args:
        names: of the numbers of a step, as the table `forecasts` has them.
    """
    steps = ahead.values.reshape(len(ahead.values), -1).tolist()
    forecasts = [
        {"step": step, "time": time} | dict(zip(names, numbers, strict=True))
        for step, (time, numbers) in enumerate(zip(ahead.times, steps, strict=True), 1)
    ]
    return {"key": ahead.key, "after": ahead.after, "observations": ahead.observations, "forecasts": forecasts}
