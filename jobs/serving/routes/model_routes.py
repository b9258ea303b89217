"""The service's own routes: which models there are, what each wants, and its predictions."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobs.serving.access.keys import may_ask
from jobs.serving.models.load import Served
from jobs.serving.models.served_model import ServedModel
from jobs.serving.models.served_series import ServedSeries
from jobs.serving.requests.answers import REQUEST_ID, as_json, json_answer, problem, said_by, who
from jobs.serving.requests.problems import MAX_SHOWN, RequestError
from jobs.serving.requests.rows_request import read_rows_request
from jobs.serving.service import Service, answered, in_path, routing


def model_routes(service: Service) -> list[Route]:
    """The routes below `/models`."""
    route = routing(service, problem)
    return [
        route("/models", _models, "GET"),
        route("/models/{name}", _model, "GET"),
        route("/models/{name}/versions/{version}", _model, "GET"),
        route("/models/{name}/aliases/{version}", _model, "GET"),
        route("/models/{name}/predict", _predict, "POST"),
        route("/models/{name}/versions/{version}/predict", _predict, "POST"),
        route("/models/{name}/aliases/{version}/predict", _predict, "POST"),
    ]


async def _models(service: Service, _: Request, identity: str) -> Response:
    loaded = {served.model.name for served in service.table.loaded_versions()}
    found = [{"name": name, "loaded": name in loaded} for name in await service.names() if may_ask(name)]
    return json_answer({"models": found}, headers={REQUEST_ID: identity})


async def _model(service: Service, request: Request, identity: str) -> Response:
    served = await service.model(*in_path(request))
    return json_answer(described(served) | await service.table.about(served), headers=who(served, identity))


async def _predict(service: Service, request: Request, identity: str) -> Response:
    name, version = in_path(request)
    return await predict(service, request, identity, lambda: service.rows_model(name, version))


async def predict(
    service: Service, request: Request, identity: str, find: Callable[[], Awaitable[ServedModel]]
) -> Response:
    """The predictions of the model that `find` finds."""
    partly = _wants_good_rows(request)
    body = await service.body(request)
    served = await find()
    asked, _ = read_rows_request(body, served.inputs, served.model.text_columns)
    answer = await answered(served, asked, partly)
    value = said_by(served, identity) | {"predictions": as_json(answer.predictions)}
    if partly:
        value["rows"] = answer.rows if answer.rows is not None else list(range(len(answer.predictions)))
        value["errors"] = [error.to_json() for error in answer.errors[:MAX_SHOWN]]
        value["refused"] = len(answer.errors)
    return json_answer(value, headers=who(served, identity))


def _wants_good_rows(request: Request) -> bool:
    """Whether the query asks for the good rows, where others are bad."""
    if not request.scope["query_string"]:
        return False
    given = request.query_params.multi_items()
    if len(given) > 1 or given[:1] not in ([], [("errors", "refuse")], [("errors", "rows")]):
        found = "&".join(f"{name}={value}" for name, value in given)
        raise RequestError(400, f"the query is {found[:80]!r}, wanted errors=rows, errors=refuse, or none")
    return given == [("errors", "rows")]


def described(served: Served) -> dict[str, Any]:
    """What a version is and wants."""
    columns = [c for c in served.inputs.feed.columns if c.name in served.inputs.names and c.role != "target"]
    rules = ("min", "max", "allowed")
    value = {
        "name": served.model.name,
        "version": served.model.version,
        "kind": "series" if isinstance(served, ServedSeries) else "rows",
        "run_id": served.model.identity.run_id,
        "digest": served.digest,
        "signature": served.signature.to_dict() if served.signature else None,
        "inputs": [
            {"name": c.name, "type": c.type, "nullable": c.nullable}
            | ({} if c.role == "feature" else {"role": c.role})
            | {rule: value for rule in rules if (value := getattr(c, rule)) is not None}
            for c in columns
        ],
        "output": str(served.model.output),
        "params": served.signature.params.to_dict() if served.signature and served.signature.params else [],
    }
    return value | _of_series(served) if isinstance(served, ServedSeries) else value


def _of_series(served: ServedSeries) -> dict[str, Any]:
    """What only a model of series has to say."""
    contract, feed = served.model.contract, served.inputs.feed
    key = contract.key
    return {
        "window_rows": contract.window_rows,
        "endogenous": contract.endogenous,
        "exogenous": contract.exogenous,
        "steps": feed.series.steps,
        "frequency": contract.frequency.text if contract.frequency else None,
        "key": None if key is None else dict(zip((c.name for c in feed.keys), key, strict=True)),
        "coverage": contract.coverage,
        "has_series": served.trained_on is not None,
    }
