"""What is asked at a path, or with a method, that no route has: refused in the words of the protocol it looks like."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from jobs.serving.requests.answers import mlflow_error, problem, request_id, v2_error
from jobs.serving.requests.problems import RequestError
from jobs.serving.routes.kserve_routes import kserve_error


async def not_there(request: Request, error: Exception) -> Response:
    """No such path (404), or not with this method (405)."""
    path = request.url.path
    assert isinstance(error, HTTPException)
    known = {404: "no such path; what there is: GET /openapi.json", 405: f"not with {request.method[:20]}"}
    refused = RequestError(error.status_code, known[error.status_code], headers=error.headers)
    if path == "/v2" or path.startswith("/v2/"):
        say = v2_error
    elif path.startswith("/v1/"):
        say = kserve_error
    else:
        say = mlflow_error if path in ("/invocations", "/ping", "/health", "/version") else problem
    return say(refused, request_id(request))
