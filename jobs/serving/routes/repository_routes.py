"""Triton's model repository extension: which models there are, and loading and unloading them."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobs.serving.access.keys import may_ask
from jobs.serving.access.listening import is_loopback
from jobs.serving.requests.answers import REQUEST_ID, json_answer, v2_error, who
from jobs.serving.requests.json_text import parse_json
from jobs.serving.requests.problems import RequestError
from jobs.serving.service import Handle, Service, routing

INDEX, LOAD = "/v2/repository/index", "/v2/repository/models/{name}/load"
UNLOAD = "/v2/repository/models/{name}/unload"


def repository_routes(service: Service) -> list[Route]:
    """The routes below `/v2/repository`; where there are keys, what changes something is among the admin routes."""
    route = routing(service, v2_error)
    return [
        route(INDEX, _index, "GET", "POST"),
        route(LOAD, _if_here(_load), "POST"),
        route(UNLOAD, _if_here(_unload), "POST"),
    ]


def admin_repository_routes(service: Service) -> list[Route]:
    """The same, for admin keys."""
    route = routing(service, v2_error, admin=True)
    return [
        route(INDEX, _whole_index, "GET", "POST"),
        route(LOAD, _load, "POST"),
        route(UNLOAD, _unload, "POST"),
    ]


def _if_here(handle: Handle) -> Handle:
    """Only for who sits at this machine, and only without keys."""

    async def handle_if_here(service: Service, request: Request, identity: str) -> Response:
        if service.keys:
            raise RequestError(403, "this is one of the admin routes; ask at serving.admin_port, with an admin key")
        if request.client and not is_loopback(request.client.host):
            raise RequestError(403, "without keys, only the machine that the service runs on may ask for this")
        return await handle(service, request, identity)

    return handle_if_here


async def _index(service: Service, request: Request, identity: str) -> Response:
    found = await _states(service, request)
    return json_answer([one for one in found if may_ask(one["name"])], headers={REQUEST_ID: identity})


async def _whole_index(service: Service, request: Request, identity: str) -> Response:
    return json_answer(await _states(service, request), headers={REQUEST_ID: identity})


async def _states(service: Service, request: Request) -> list[dict[str, str]]:
    asked = await _object(service, request)
    found: list[dict[str, str]] = []
    for served in service.table.loaded_versions():
        found.append({"name": served.model.name, "version": served.model.version, "state": "READY", "reason": ""})
    names = {one["name"] for one in found}
    for name in [] if asked.get("ready") else await service.names():
        if name not in names:
            reason = "unloaded" if name in service.table.unloaded else "not asked for yet"
            found.append({"name": name, "version": "", "state": "UNAVAILABLE", "reason": reason})
    return found


async def _load(service: Service, request: Request, identity: str) -> Response:
    asked = await _object(service, request)
    if given := asked.get("parameters"):
        raise RequestError(400, f"parameters {list(given)!r:.100} are not known here, wanted none")
    served = await service.load(request.path_params["name"])
    return json_answer({}, headers=who(served, identity))


async def _unload(service: Service, request: Request, identity: str) -> Response:
    await _object(service, request)
    service.unload(request.path_params["name"])
    return json_answer({}, headers={REQUEST_ID: identity})


async def _object(service: Service, request: Request) -> dict[str, Any]:
    """What a body says; it may be empty."""
    data = (await service.body(request)).data
    said = parse_json(data) if data.strip() else {}
    if not isinstance(said, dict) or not isinstance(said.get("parameters") or {}, dict):
        raise RequestError(400, "the body is no object, wanted one or none")
    return said
