"""Answers as bytes: JSON that is always valid, who answered, and refusals in the words of each protocol."""

import math
import random
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from starlette.requests import Request
from starlette.responses import Response

from jobs.serving.models.load import Served
from jobs.serving.requests.problems import RequestError

REQUEST_ID = "x-request-id"

_ids = random.Random()  # no secret, and os.urandom gives the interpreter to the thread that predicts


def request_id(request: Request) -> str:
    """The caller's, if it can stand in a header and a log line; else a new one."""
    given = request.headers.get(REQUEST_ID, "")
    if 0 < len(given) <= 128 and given.isascii() and given.isprintable():
        return given
    return f"{_ids.getrandbits(128):032x}"


def said_by(served: Served, identity: str) -> dict[str, Any]:
    """The same as the first fields of an answer of our own."""
    version = served.model.identity
    return {"model": version.name, "version": version.version, "digest": served.digest, "request_id": identity}


def who(served: Served, identity: str) -> dict[str, str]:
    """The headers that say which version answered which request."""
    version = served.model.identity
    return {
        "x-model-name": version.name if version.name.isascii() else version.name.encode().hex(),
        "x-model-version": version.version,
        "x-model-digest": served.digest,
        REQUEST_ID: identity,
    }


def json_answer(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None, kind: str = "application/json"
) -> Response:
    """JSON as an answer."""
    return Response(orjson.dumps(value), status, headers, kind)


def as_json(predictions: pa.Array) -> list[Any]:
    """Predictions as JSON holds them.

    Raises:
        RequestError: one is infinite, which JSON does not know.
    """
    if not pa.types.is_floating(predictions.type):
        assert_finite(predictions)
        return predictions.to_pylist()
    # 20 µs for 1,000 numbers, where Arrow takes 300
    values = predictions.to_pylist() if predictions.null_count else predictions.to_numpy().tolist()
    if math.inf in values or -math.inf in values:  # Arrow would give the interpreter to the thread that predicts
        raise _infinite()
    return values


def assert_finite(predictions: pa.Array) -> None:
    """Raise RequestError if one is infinite, which JSON does not know."""
    if _has_infinity(predictions):
        raise _infinite()


def _infinite() -> RequestError:
    return RequestError(422, "the model answered with an infinite number, which JSON cannot hold; ask for Arrow")


def mlflow_error(error: RequestError, identity: str) -> Response:
    """As MLflow's server says it."""
    codes = {400: "BAD_REQUEST", 404: "RESOURCE_DOES_NOT_EXIST", 409: "INVALID_STATE", 503: "TEMPORARILY_UNAVAILABLE"}
    codes |= {500: "INTERNAL_ERROR", 504: "DEADLINE_EXCEEDED", 507: "RESOURCE_EXHAUSTED"}
    value = {"error_code": codes.get(error.status, "BAD_REQUEST"), "message": error.detail}
    if error.errors:
        value["errors"] = [one.to_json() for one in error.errors]  # type: ignore[assignment]
    return json_answer(value, error.status, error.headers | {REQUEST_ID: identity})


def v2_error(error: RequestError, identity: str) -> Response:
    """As the Open Inference Protocol says it."""
    return json_answer({"error": error.detail}, error.status, error.headers | {REQUEST_ID: identity})


def problem(error: RequestError, identity: str) -> Response:
    """As RFC 9457 says it."""
    value = {
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.detail,
        "errors": [one.to_json() for one in error.errors],
        "request_id": identity,
    }
    return json_answer(value, error.status, error.headers | {REQUEST_ID: identity}, "application/problem+json")


def _has_infinity(values: pa.Array) -> bool:
    kind = values.type
    if pa.types.is_struct(kind):
        return any(_has_infinity(field) for field in values.flatten())
    if pa.types.is_list(kind):
        return _has_infinity(values.flatten())
    return pa.types.is_floating(kind) and bool(pc.any(pc.is_inf(values)).as_py())
