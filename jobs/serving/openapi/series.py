"""The operations of a model of series in the OpenAPI document, each with an example that can be sent as it stands."""

from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from jobs.serving.models.served_series import MOST_STEPS, ServedSeries
from jobs.serving.models.steps_ahead import exog_inputs
from jobs.serving.openapi.parts import operation, problem, refusal, row_of
from jobs.serving.routes.kserve_routes import FREQUENCIES, PATH, TYPES
from schemas.feed import FORECAST
from schemas.frequency import DAY, Frequency
from schemas.value_text import parse
from streamscore.models.example import probe_value

_STEPS = {"type": "integer", "minimum": 1, "maximum": MOST_STEPS}
_NUMBERS = {"type": "array", "items": {"type": "number"}}


def series_paths(served: ServedSeries) -> dict[str, Any]:
    """Its own route; KServe's, which is one for all models, if its frequency has a name there."""
    paths = {f"/models/{served.model.name}/forecast": {"post": _forecast(served)}}
    frequency = served.model.contract.frequency or Frequency(0, DAY)
    names = [name for name, one in FREQUENCIES.items() if one.span == frequency.span]
    keys = served.inputs.feed.keys
    if names and not served.model.contract.exogenous and (not keys or [column.type for column in keys] == ["string"]):
        paths[PATH] = {"post": _kserve(served, names[0])}
    return paths


def _forecast(served: ServedSeries) -> dict[str, Any]:
    steps = served.inputs.feed.series.steps
    described = operation(
        f"forecast_{served.model.name}", f"Forecasts of {served.model.identity.title}", _answer(served)
    )
    body: dict[str, Any] = {
        "type": "object",
        "properties": {
            "steps": _STEPS | {"default": steps},
            "history": {"enum": ["window", "all"], "default": "window"},
            "dataframe_records": {
                "type": "array",
                "minItems": 1,
                "items": row_of(served.inputs, served.inputs.feed.columns),
            },
            "key": {"type": "object"},
        },
    }
    if served.model.contract.exogenous:
        of_steps = exog_inputs(served.inputs)
        rows = {"type": "array", "items": row_of(of_steps, of_steps.feed.columns)}
        body["properties"]["exog"] = rows | {"description": "of each step; without, they stay as they were last."}
    example = {"steps": steps, "dataframe_records": observations(served)}
    described["requestBody"] = {"content": {"application/json": {"schema": body, "example": example}}}
    described["parameters"] = [
        {
            "name": "feed",
            "in": "query",
            "description": "forecast after the newest observations in this feed's table; then send none.",
            "schema": {"type": "string"},
        }
    ]
    for status, what in (("400", "a row is refused"), ("413", "too large"), ("422", "the model has no forecast")):
        described["responses"][status] = problem(what)
    return described


def _answer(served: ServedSeries) -> dict[str, Any]:
    step: dict[str, Any] = {"step": {"type": "integer"}, "time": {"type": ["string", "null"]}}
    is_forecast = np.repeat(served.model.forecasts, len(FORECAST))  # the others are null
    for field, given in zip(served.model.output, is_forecast, strict=True):
        step[field.name] = {"type": "number" if given else "null"}
    series = {
        "key": {"type": "object"},
        "after": {"type": "string"},
        "observations": {"type": "integer"},
        "forecasts": {"type": "array", "items": {"type": "object", "properties": step}},
    }
    return {
        "type": "object",
        "properties": {
            "version": {"type": "string"},
            "series": {"type": "array", "items": {"type": "object", "properties": series}},
        },
    }


def _kserve(served: ServedSeries, frequency: str) -> dict[str, Any]:
    feed = served.inputs.feed
    records = observations(served)
    example = {
        "model": served.model.name,
        "inputs": [
            {
                "type": TYPES[len(feed.features) > 1],
                "name": str(records[0][feed.keys[0].name]) if feed.keys else feed.name,
                "series": [[record[c.name] for c in feed.features] for record in records],
                "frequency": frequency,
                "start_timestamp": records[0][feed.time.name],
            }
        ],
        "options": {"horizon": feed.series.steps}
        | ({"quantiles": [0.1, 0.9]} if served.model.contract.coverage else {}),
    }
    given = {
        "type": {"enum": list(TYPES)},
        "name": {"type": "string"},
        "series": {"type": "array", "minItems": 1, "items": {"anyOf": [{"type": "number"}, _NUMBERS]}},
        "frequency": {"enum": list(FREQUENCIES)},
        "start_timestamp": {"type": "string"},
    }
    options = {"horizon": _STEPS, "quantiles": _NUMBERS}
    body = {
        "type": "object",
        "properties": {
            "model": {"type": "string"},
            "inputs": {"type": "array", "items": {"type": "object", "properties": given, "required": list(given)}},
            "options": {"type": "object", "properties": options, "required": ["horizon"]},
        },
        "required": ["model", "inputs", "options"],
    }
    described = operation("timeseries_forecast", "Forecasts by KServe's protocol", {"type": "object"})
    described["requestBody"] = {"required": True, "content": {"application/json": {"schema": body, "example": example}}}
    described["responses"]["default"] = refusal({"type": "object", "required": ["error"]})
    return described


def observations(served: ServedSeries) -> list[dict[str, Any]]:
    """Observations as JSON has them: the end of what the version was trained on, or made-up ones."""
    given = served.trained_on
    if given is not None:
        rows = zip(*given.columns.values(), strict=True)
        found = [dict(zip(given.columns, row, strict=True)) for row in rows]
    else:
        found = _made_up(served)
    shown: list[dict[str, Any]] = orjson.loads(orjson.dumps(found))
    return shown


def _made_up(served: ServedSeries) -> list[dict[str, Any]]:
    contract, feed = served.model.contract, served.inputs.feed
    are_days = feed.time.type == "date"
    frequency = contract.frequency or Frequency(0, DAY)
    start = np.array([10_957 if are_days else 10_957 * DAY])  # 2000-01-01
    times = np.append(start, frequency.after(start, contract.window_rows - 1, are_days=are_days))
    texts = (pa.array(times, pa.int32()) if are_days else pa.array(times)).cast(feed.time.arrow_type).to_pylist()
    row = {column.name: probe_value(column) for column in (*feed.keys, *feed.observed)}
    if contract.key is not None:
        for column, text in zip(feed.keys, contract.key, strict=True):
            row[column.name] = None if text is None else parse(text, column.type)
    return [{feed.time.name: time} | row for time in texts]
