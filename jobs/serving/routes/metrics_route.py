"""`GET /metrics`, for Prometheus."""

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobs.serving.requests.answers import REQUEST_ID, problem
from jobs.serving.service import Service, routing
from jobs.serving.watching.metrics import ServiceMetrics


def metrics_route(service: Service, metrics: ServiceMetrics) -> Route:
    """The route. Where there are API keys it wants an admin key, since it names all models."""

    async def text(_: Service, __: Request, identity: str) -> Response:
        return Response(metrics.text(), headers={REQUEST_ID: identity, "content-type": CONTENT_TYPE_LATEST})

    return routing(service, problem, admin=bool(service.keys))("/metrics", text, "GET")
