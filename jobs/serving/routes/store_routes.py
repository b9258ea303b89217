"""The model store over REST, for admin keys: what there is, a version taken out, a version put in."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from jobs.serving.access.keys import caller
from jobs.serving.requests.answers import REQUEST_ID, json_answer, problem
from jobs.serving.requests.body import pieces_of
from jobs.serving.requests.problems import RequestError
from jobs.serving.routes.version_archive import pack, unpack
from jobs.serving.service import Service, routing
from schemas.errors import ContractError, RegistryError, StreamscoreError
from streamscore.registry.store.folder_store import VERSION_FILE
from streamscore.registry.store.model_store import ModelStore, find
from streamscore.registry.store.push import MODEL, Pushed, pull, push, put_pulled
from streamscore.registry.store.stored_version import StoredVersion

T = TypeVar("T")
TAR = "application/x-tar"


def store_routes(service: Service) -> list[Route]:
    """The routes below `/store/models`."""
    route = routing(service, problem, admin=True)
    return [
        route("/store/models", _names, "GET"),
        route("/store/models/{name}", _versions, "GET"),
        route("/store/models/{name}/{version}", _version, "GET"),
        route("/store/models/{name}/{version}", _put, "PUT"),
    ]


async def _names(service: Service, _: Request, identity: str) -> Response:
    store = service.registry.store

    def names() -> list[dict[str, Any]]:
        return [{"name": name, "versions": _numbers(store, name)} for name in store.names()]

    return json_answer({"models": await _asked(store, names)}, headers={REQUEST_ID: identity})


async def _versions(service: Service, request: Request, identity: str) -> Response:
    store, name = service.registry.store, request.path_params["name"]
    found = await _asked(store, lambda: _numbers(store, name))
    if not found:
        raise RequestError(404, f"no model '{name[:100]}' in the store; what there is: GET /store/models")
    return json_answer({"name": name, "versions": found}, headers={REQUEST_ID: identity})


async def _version(service: Service, request: Request, identity: str) -> Response:
    """What is known of a version; with `Accept: application/x-tar` its files, too, as `store pull` has them."""
    registry, path = service.registry, request.path_params
    store = registry.store
    stored = await _asked(store, lambda: find(store, path["name"], path["version"]))
    headers = _headers(stored, identity)
    if TAR not in request.headers.get("accept", ""):
        return Response(stored.to_json(), 200, headers, "application/json")
    folder = Path(tempfile.mkdtemp(prefix="streamscore-"))

    def packed() -> Path:
        return pack(pull(store, stored, folder / "version", registry.models), folder / "version.tar")

    try:
        file = await _asked(store, packed)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    name = f"{stored.name}-{stored.version}.tar"
    return FileResponse(file, 200, headers, TAR, BackgroundTask(shutil.rmtree, folder, ignore_errors=True), name)


async def _put(service: Service, request: Request, identity: str) -> Response:
    """Put a version: the body is a tar archive of a model's folder, or of what `streamscore store pull` makes."""
    registry, path = service.registry, request.path_params
    store, name, version, by = registry.store, path["name"], path["version"], caller()
    with tempfile.TemporaryDirectory(prefix="streamscore-") as temporary:
        folder = Path(temporary)
        archive = await _received(request, folder / "body", service.settings.max_upload_bytes)

        def put() -> StoredVersion:
            made = unpack(archive, folder / "version", service.settings.max_upload_bytes)
            if (made / VERSION_FILE).is_file():
                return put_pulled(store, made, name, version, registry.models)
            model = made / MODEL if (made / MODEL).is_dir() else made
            return push(store, Pushed(model, f"PUT with the key '{by}'"), name, version, registry.models)

        stored = await _asked(store, put)
    headers = _headers(stored, identity) | {"location": f"/store/models/{stored.name}/{stored.version}"}
    return Response(stored.to_json(), 201, headers, "application/json")


async def _received(request: Request, path: Path, most: int) -> Path:
    """The body in a file."""
    size = 0
    with path.open("wb") as file:
        async for piece in pieces_of(request):
            size += len(piece)
            if size > most:
                raise RequestError(
                    413, f"the archive is larger than {most:,} bytes, which serving.max_upload_bytes says"
                )
            await asyncio.to_thread(file.write, piece)
    return path


async def _asked(store: ModelStore, call: Callable[[], T]) -> T:
    """What a store says, in another thread; its errors without the places of this machine."""
    try:
        return await asyncio.to_thread(call)
    except RegistryError as error:
        if isinstance(error.__cause__, LookupError):
            raise RequestError(404, "no such version in the store; what there is: GET /store/models") from error
        raise RequestError(503, "the model store does not answer", headers={"Retry-After": "5"}) from error
    except StreamscoreError as error:
        status = 409 if isinstance(error, ContractError) else 400
        raise RequestError(status, str(error).splitlines()[0].replace(store.place, "the store")) from error


def _numbers(store: ModelStore, name: str) -> list[str]:
    """The versions of a model that are whole, newest first."""
    return [str(number) for number in store.numbers(name) if store.read(name, number)]


def _headers(stored: StoredVersion, identity: str) -> dict[str, str]:
    return {
        "x-model-name": stored.name,
        "x-model-version": str(stored.version),
        "x-model-digest": stored.manifest.digest,
        REQUEST_ID: identity,
    }
