"""KServe's forecast protocol: `POST /v1/timeseries/forecast`."""

import time
from collections.abc import Mapping
from datetime import date
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobs.serving.models.served_series import MOST_FORECASTS, Ahead, Asked, ServedSeries
from jobs.serving.requests.answers import REQUEST_ID, json_answer, who
from jobs.serving.requests.json_text import parse_json
from jobs.serving.requests.problems import RequestError
from jobs.serving.requests.series_request import steps_of
from jobs.serving.requests.values import Values
from jobs.serving.service import Service, forecasts, routing
from schemas.columns import Column
from schemas.frequency import DAY, Frequency
from schemas.value_text import parse
from streamscore.models.series_model import Floats

PATH = "/v1/timeseries/forecast"
TYPES = ("univariate_time_series", "multivariate_time_series")
_SECOND = 1_000_000
FREQUENCIES = {
    "second": Frequency(0, _SECOND), "S": Frequency(0, _SECOND),
    "minute": Frequency(0, 60 * _SECOND), "T": Frequency(0, 60 * _SECOND),
    "hour": Frequency(0, 3600 * _SECOND), "H": Frequency(0, 3600 * _SECOND),
    "day": Frequency(0, DAY), "D": Frequency(0, DAY),
    "week": Frequency(0, 7 * DAY), "W": Frequency(0, 7 * DAY),
    "month": Frequency(1), "M": Frequency(1),
    "quarter": Frequency(3), "Q": Frequency(3),
    "year": Frequency(12), "Y": Frequency(12),
}  # fmt: skip
_ALMOST = 1e-9  # of a bound's distance from the forecast, by which the other one may be further away


def kserve_routes(service: Service) -> list[Route]:
    """The one route of the protocol."""
    return [routing(service, kserve_error)(PATH, _forecast, "POST")]


async def _forecast(service: Service, request: Request, identity: str) -> Response:
    asked = parse_json((await service.body(request)).data)
    if not isinstance(asked, dict) or not isinstance(asked.get("model"), str):
        raise RequestError(400, "wanted an object with model, inputs and options")
    name, _, version = asked["model"].partition("/")
    served = await service.series_model(name, version)
    inputs, options = asked.get("inputs"), asked.get("options")
    if not isinstance(inputs, list) or not inputs or not all(isinstance(one, dict) for one in inputs):
        raise RequestError(400, "inputs is no list of series, wanted one with at least one of them")
    if not isinstance(options, dict):
        raise RequestError(400, "options is no object, wanted one with horizon")
    steps = steps_of(options.get("horizon"))
    if len(inputs) * steps > MOST_FORECASTS:
        raise RequestError(400, f"{len(inputs)} inputs of {steps} steps, wanted {MOST_FORECASTS:,} steps at most")
    quantiles = _quantiles(options.get("quantiles"))
    content = []
    for given in inputs:
        (ahead,) = await forecasts(served, Asked(observations_of(given, served), steps))
        content.append(_content(given, ahead, quantiles, served.model.contract.coverage))
    output = {"type": "time_series_forecast", "id": identity, "status": "completed", "content": content, "error": None}
    value = {"id": identity, "created_at": int(time.time()), "status": "completed", "error": None}
    value |= {"model": asked["model"], "outputs": [output], "usage": None}
    return json_answer(value, headers=who(served, identity))


def observations_of(given: Mapping[str, Any], served: ServedSeries) -> Values:
    """The observations in one input: values without names in the order of the feed's features, and a first time.

    Raises:
        RequestError: it is not as the protocol says, or not as the model wants it.
    """
    feed = served.inputs.feed
    if served.model.contract.exogenous:
        raise RequestError(
            400, "the model has exogenous columns, which this protocol has not; ask /models/NAME/forecast"
        )
    name, kind, series = given.get("name"), given.get("type"), given.get("series")
    features = [column.name for column in feed.features]
    if not isinstance(name, str) or kind not in TYPES or not isinstance(series, list) or not series:
        raise RequestError(400, f"an input wants a name, a series, and a type of {', '.join(TYPES)}")
    if kind == TYPES[0] and len(features) > 1:
        raise RequestError(400, f"input '{name}' is {kind}, the model forecasts {len(features)}: {', '.join(features)}")
    rows = [row if isinstance(row, list) else [row] for row in series]
    wrong = next((at for at, row in enumerate(rows) if len(row) != len(features)), None)
    if wrong is not None:
        said = f"wanted {len(features)}: {', '.join(features)}"
        raise RequestError(400, f"input '{name}', row {wrong}: found {len(rows[wrong])} values, {said}")
    frequency, own = _frequency(given, name), served.model.contract.frequency
    if own is not None and own.span != frequency.span:
        raise RequestError(400, f"input '{name}': frequency is {given['frequency']}, the model was trained on {own}")
    columns = {column: [row[at] for row in rows] for at, column in enumerate(features)}
    columns[feed.time.name] = _times(given, feed.time, own or frequency, len(rows))
    return Values(columns | _key(name, feed.keys, len(rows)), len(rows))


def _key(name: str, keys: tuple[Column, ...], count: int) -> dict[str, list[Any]]:
    """The input's name is the key of its series, if the feed has one key column of text."""
    if not keys:
        return {}
    if len(keys) > 1 or keys[0].type != "string":
        raise RequestError(400, "series of this model have more in their key than a name; ask /models/NAME/forecast")
    return {keys[0].name: [name] * count}


def _frequency(given: Mapping[str, Any], name: str) -> Frequency:
    found = given.get("frequency")
    if not isinstance(found, str) or found not in FREQUENCIES:
        raise RequestError(400, f"input '{name}': frequency is {found!r:.40}, wanted one of {', '.join(FREQUENCIES)}")
    return FREQUENCIES[found]


def _times(given: Mapping[str, Any], column: Column, frequency: Frequency, count: int) -> list[Any]:
    """The times of the observations."""
    name, text = given["name"], given.get("start_timestamp")
    wanted = "wanted the time of its first observation, as 2009-07-01T00:00:00Z"
    try:
        start = parse(text if isinstance(text, str) else "", "timestamp")
        are_days = column.type == "date"
        if are_days:
            start = start.date()  # type: ignore[union-attr]
        first = pa.array([start], column.arrow_type).cast(pa.int32() if are_days else pa.int64()).cast(pa.int64())
        later = frequency.after(first.to_numpy(), count - 1, are_days=are_days)
        times = pa.array(np.append(first.to_numpy(), later))
        found: list[Any] = (times.cast(pa.int32()) if are_days else times).cast(column.arrow_type).to_pylist()
    except (ValueError, OverflowError) as error:
        raise RequestError(400, f"input '{name}': start_timestamp is {text!r:.40}, {wanted}") from error
    return found


def _quantiles(given: Any) -> list[float]:
    found = given or []
    if not isinstance(found, list) or not all(type(q) in (int, float) and 0 < q < 1 for q in found):
        raise RequestError(400, "options.quantiles is wrong, wanted a list of numbers above 0 and below 1")
    return found


def _content(given: Mapping[str, Any], ahead: Ahead, quantiles: list[float], coverage: float | None) -> dict[str, Any]:
    first = ahead.times[0]
    value = {
        "type": given["type"],
        "name": given["name"],
        "mean_forecast": _series(ahead.values[:, :, 0], given),
        "frequency": given["frequency"],
        "start_timestamp": first.isoformat() if isinstance(first, date) else "",
        "quantiles": None,
    }
    if quantiles:
        value["quantiles"] = {str(q): _series(quantile(ahead.values, q, coverage), given) for q in quantiles}
    return value


def quantile(values: Floats, wanted: float, coverage: float | None) -> Floats:
    """A quantile of the forecasts, of the normal distribution that has their bounds.

    Args:
        values: shape (steps, features, 3).
        coverage: probability between the bounds.

    Raises:
        RequestError: the model does not say what its bounds cover, or they are those of no normal distribution.
    """
    mean, lower, upper = np.moveaxis(values, -1, 0)
    if coverage is None:
        raise RequestError(400, "the model does not say what its bounds cover, so it has no quantiles; leave them out")
    if (np.abs(upper + lower - 2 * mean) > _ALMOST * (np.abs(mean) + upper - lower)).any():
        raise RequestError(
            400, "the model's bounds are of no normal distribution, so it has no quantiles; leave them out"
        )
    normal = NormalDist()
    deviation = (upper - lower) / 2 / normal.inv_cdf(0.5 + coverage / 2)
    found: Floats = mean + normal.inv_cdf(wanted) * deviation
    return found


def _series(values: Floats, given: Mapping[str, Any]) -> list[Any]:
    """Numbers of each step; of a univariate series without a list around each."""
    found: list[Any] = (values[:, 0] if given["type"] == TYPES[0] else values).tolist()
    return found


def kserve_error(error: RequestError, identity: str) -> Response:
    """As KServe says it."""
    kinds = {404: "NotFoundError", 409: "ConflictError", 422: "ModelError", 500: "InternalServerError"}
    said = {
        "code": str(error.status),
        "message": error.detail,
        "param": "",
        "type": kinds.get(error.status, "BadRequestError"),
    }
    return json_answer({"error": said}, error.status, error.headers | {REQUEST_ID: identity})
