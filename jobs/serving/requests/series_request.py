"""What a request for forecasts says: how many steps, and from which observations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.serving.models.served_model import Read
from jobs.serving.models.served_series import MOST_STEPS
from jobs.serving.models.steps_ahead import exog_inputs
from jobs.serving.requests.body import Body
from jobs.serving.requests.contract import Inputs
from jobs.serving.requests.json_text import parse_json
from jobs.serving.requests.problems import RequestError
from jobs.serving.requests.tabular import JSON_KEYS, decode, is_json, of_json, of_records
from jobs.serving.requests.values import Values

OPTIONS = ("steps", "history", "feed", "key", "exog")
IN_BODY = ("key", "exog")


@dataclass(frozen=True, slots=True)
class SeriesRequest:
    """A request for forecasts.

    Attributes:
        observations: those in the body; None if there are none.
        feed: the feed whose table has them; empty if none was named.
        key: of the one series in that table that is wanted; None if all are.
        whole: whether the model gets all observations, and not only its window.
        exog: rows with the exogenous columns of the steps; None if there are none.
    """

    steps: int
    observations: Values | Read | None
    feed: str
    key: Mapping[str, Any] | None
    whole: bool
    exog: Values | None


def read_series_request(body: Body, query: Mapping[str, str], inputs: Inputs) -> SeriesRequest:
    """A request for forecasts, from its body and its query.

    Raises:
        RequestError: an option is unknown or given twice, or the body is not understood.
    """
    options: dict[str, Any] = dict(query)
    if "steps" in options:
        options["steps"] = int(query["steps"]) if query["steps"].isascii() and query["steps"].isdigit() else "text"
    observations = None
    if body.data:
        observations = _observations(body, inputs, options)
    for name in options:
        if name not in OPTIONS or (name in IN_BODY and name in query):
            raise RequestError(400, f"found '{name[:40]}', wanted {', '.join((*OPTIONS, *JSON_KEYS))}")
    if observations is not None and "feed" in options:
        raise RequestError(400, "found observations and a feed, wanted one of them")
    key = options.get("key")
    if key is not None and ("feed" not in options or not isinstance(key, dict)):
        raise RequestError(400, "key names one series of ?feed=NAME, wanted an object with its key columns")
    return SeriesRequest(
        steps_of(options.get("steps", inputs.feed.series.steps)),
        observations,
        _text(options, "feed"),
        key,
        _whole(options),
        _exog(options["exog"], inputs) if "exog" in options else None,
    )


def steps_of(value: Any) -> int:
    """The number of steps that is asked for.

    Raises:
        RequestError: it is none, or too large.
    """
    if type(value) is not int or not 1 <= value <= MOST_STEPS:
        raise RequestError(400, f"steps is {value!r:.40}, wanted a whole number from 1 to {MOST_STEPS:,}")
    return value


def _observations(body: Body, inputs: Inputs, options: dict[str, Any]) -> Values | Read | None:
    """Those in the body; what else it says goes to the options."""
    if not is_json(body):
        return decode(body, inputs, frozenset())
    value = parse_json(body.data)
    if not isinstance(value, dict):
        return of_json(value, inputs)  # which refuses it
    for name in [name for name in value if name not in JSON_KEYS]:
        if name in options:
            raise RequestError(400, f"'{name[:40]}' is in the query and in the body, wanted once")
        options[name] = value.pop(name)
    return of_json(value, inputs) if value else None


def _text(options: Mapping[str, Any], name: str) -> str:
    value = options.get(name, "")
    if not isinstance(value, str) or (name in options and not value):
        raise RequestError(400, f"{name} is {value!r:.40}, wanted a name")
    return value


def _whole(options: Mapping[str, Any]) -> bool:
    value = options.get("history", "window")
    if value not in ("window", "all"):
        raise RequestError(400, f"history is {value!r:.40}, wanted window or all")
    if value == "all" and "feed" in options:
        raise RequestError(400, "history: all is for observations in the body; a feed has the newest window")
    return bool(value == "all")


def _exog(value: Any, inputs: Inputs) -> Values:
    if all(column.nullable for column in inputs.feed.exogenous):
        raise RequestError(400, "found exog, and this model forecasts by no exogenous columns; leave it out")
    if not isinstance(value, list):
        raise RequestError(400, "exog wants a list of rows, an object for each step with the exogenous columns by name")
    return of_records(value, exog_inputs(inputs))
