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

    async def text(service: Service, request: Request, identity: str) -> Response:
        if service.keys:  # there may be some since a moment ago
            service.keys.let_in_admin(request)
        return Response(metrics.text(asking=1), headers={REQUEST_ID: identity, "content-type": CONTENT_TYPE_LATEST})

    return routing(service, problem)("/metrics", text, "GET")
