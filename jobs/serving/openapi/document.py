"""The service described: OpenAPI with a typed operation for each loaded model, and Swagger's page for it."""

from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from jobs.serving.access.keys import may_ask
from jobs.serving.models.load import Served
from jobs.serving.models.served_model import ServedModel
from jobs.serving.models.served_series import ServedSeries
from jobs.serving.openapi.parts import operation, params_of, problem, row_of
from jobs.serving.openapi.protocols import common_paths, infer_path, invocations_path
from jobs.serving.openapi.series import series_paths
from jobs.serving.requests.answers import json_answer
from jobs.serving.requests.problems import RequestError
from jobs.serving.service import Service
from streamscore import __version__
from streamscore.models.example import probe_value

STATIC = Path(__file__).parent / "static"
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"><title>streamscore</title>
<link rel="stylesheet" href="static/swagger-ui.css"><link rel="icon" href="static/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="static/swagger-ui-bundle.js"></script><script src="static/swagger-initializer.js"></script>
</body>
</html>
"""
# Swagger UI styles its elements itself, and its icons are data.
POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
_PROBLEM = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "row": {"type": ["integer", "null"]},
                    "column": {"type": ["string", "null"]},
                    "reason": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
_WITH_KEYS: dict[str, Any] = {"security": [{"key": []}]}


def openapi_routes(service: Service) -> list[Route | Mount]:
    """`/openapi.json`, and Swagger at `/docs/` and `/apidocs/`, without a network."""

    async def document(request: Request) -> Response:
        loaded = service.table.loaded()
        found = {served.model.name: served for served in loaded.values()}
        # of several versions the one that answers by the name alone
        found |= {name: loaded[uri] for name in found if (uri := service.uri(name)) in loaded}
        try:
            service.keys.let_in(request)
            names = sorted(filter(may_ask, found))
        except RequestError:  # as of Swagger's page, which has no key when it asks
            names = []
        default = loaded.get(service.default_uri)
        of_default = default if default and default.model.name in names else None
        described = described_service([found[name] for name in names], of_default)
        return json_answer(described | (_WITH_KEYS if service.keys else {}))

    async def page(_: Request) -> Response:
        return HTMLResponse(PAGE, headers={"content-security-policy": POLICY})

    async def with_slash(request: Request) -> Response:
        return RedirectResponse(request.url.path.rpartition("/")[2] + "/")

    found: list[Route | Mount] = [Route("/openapi.json", document, methods=["GET"])]
    for place in ("/docs", "/apidocs"):
        found.append(Mount(f"{place}/static", StaticFiles(directory=STATIC)))
        found.append(Route(f"{place}/", page, methods=["GET"]))
        found.append(Route(place, with_slash, methods=["GET"]))
    return found


def described_service(models: list[Served], default: Served | None) -> dict[str, Any]:
    """The OpenAPI document.

    Args:
        default: the model of `/invocations`, if it is loaded.
    """
    paths: dict[str, Any] = {"/models": {"get": operation("models", "The models that there are", {"type": "object"})}}
    paths |= {"/predict/{user}": {"post": _predict_for_user()}} | common_paths()
    if isinstance(default, ServedModel):
        paths |= invocations_path(default)
    for served in models:
        name = served.model.name
        paths[f"/models/{name}"] = {"get": operation(f"describe_{name}", f"What {name} is", {"type": "object"})}
        if isinstance(served, ServedSeries):
            paths |= series_paths(served)
        else:
            paths[f"/models/{name}/predict"] = {"post": _predict(served)}
            paths |= infer_path(served)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "streamscore",
            "version": __version__,
            "description": "The models of the registry, answered online by the rules of the stream.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _predict(served: ServedModel) -> dict[str, Any]:
    """Predictions of one model: its inputs as a row, with an example that can be sent as it stands."""
    features = [c for c in served.inputs.feed.features if c.name in served.inputs.names]
    example: dict[str, Any] = {c.name: probe_value(c) for c in features}
    schema: dict[str, Any] = {
        "type": "array",
        "minItems": 1,
        "items": row_of(served.inputs, served.inputs.feed.features),
    }
    described = operation(
        f"predict_{served.model.name}",
        f"Predictions of {served.model.identity.title}",
        {"type": "object", "properties": {"predictions": {"type": "array"}, "version": {"type": "string"}}},
    )
    properties = {"dataframe_records": schema} | params_of(served.inputs)
    body = {"type": "object", "properties": properties, "required": ["dataframe_records"]}
    described["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": body, "example": {"dataframe_records": [example]}}},
    }
    described["parameters"] = [
        {
            "name": "errors",
            "in": "query",
            "description": "rows: answer the good rows, and list the others.",
            "schema": {"enum": ["refuse", "rows"], "default": "refuse"},
        }
    ]
    for status, what in (("400", "a row is refused"), ("413", "too large"), ("422", "the model has no prediction")):
        described["responses"][status] = problem(what)
    return described


def _predict_for_user() -> dict[str, Any]:
    """Predictions by the model that the table of routes gives a user; its inputs are that model's."""
    answer = {"type": "object", "properties": {"predictions": {"type": "array"}, "model": {"type": "string"}}}
    described = operation("predict_for_user", "Predictions by the model of a user", answer)
    described["parameters"] = [{"name": "user", "in": "path", "required": True, "schema": {"type": "string"}}]
    described["requestBody"] = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
    for status, what in (("400", "a row is refused"), ("403", "no right"), ("422", "the model has no prediction")):
        described["responses"][status] = problem(what)
    return described
