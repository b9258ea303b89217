"""What MLflow's scoring server answers, so that its clients work here."""

from typing import Any
from urllib.parse import quote

import pyarrow as pa
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobs.serving.requests.answers import REQUEST_ID, as_json, json_answer, mlflow_error, who
from jobs.serving.requests.rows_request import read_rows_request
from jobs.serving.service import Service, answered, routing

log = structlog.get_logger()

IGNORED = "x-ignored-keys"  # what the body says that nobody reads


def mlflow_routes(service: Service) -> list[Route]:
    """The routes, at the top of the service."""
    route = routing(service, mlflow_error)
    return [
        route("/invocations", _invocations, "POST"),
        route("/ping", _ping, "GET"),
        route("/health", _ping, "GET"),
        route("/version", _version, "GET"),
    ]


async def _invocations(service: Service, request: Request, identity: str) -> Response:
    body = await service.body(request)
    served = await service.default_model()
    asked, ignored = read_rows_request(body, served.inputs, served.model.text_columns, ignores=True)
    headers = who(served, identity)
    if ignored:
        log.warning("ignored", keys=[name[:40] for name in ignored[:10]], request_id=identity)
        headers[IGNORED] = ", ".join(quote(name[:40], safe="") for name in ignored[:10])
    answer = await answered(served, asked)
    return json_answer({"predictions": shaped(answer.predictions, served.records)}, headers=headers)


async def _ping(service: Service, _: Request, identity: str) -> Response:
    status = 200 if service.table.is_ready else 404
    return Response("\n", status, {REQUEST_ID: identity}, "application/json")


async def _version(_: Service, __: Request, identity: str) -> Response:
    import mlflow

    return Response(mlflow.__version__, 200, {REQUEST_ID: identity}, "application/json")


def shaped(predictions: pa.Array, records: str | None) -> list[Any]:
    """Predictions as MLflow shows them: an array as a list, a frame or a series as records under that name."""
    values = as_json(predictions)
    if records is None or pa.types.is_struct(predictions.type):
        return values
    return [{records: value} for value in values]
