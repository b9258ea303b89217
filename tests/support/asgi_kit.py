"""An application asked in the test's own process, without a port."""

import asyncio
import json
import threading
from collections.abc import MutableMapping
from typing import Any, NamedTuple, Self

from starlette.types import ASGIApp


class Answer(NamedTuple):
    """What the application said."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class InProcess:
    """An application between its start and its stop, on an event loop of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._stop, self._said = asyncio.Event(), asyncio.Queue[str]()

    def __enter__(self) -> Self:
        self._thread.start()
        self._life = asyncio.run_coroutine_threadsafe(self._live(), self._loop)
        assert self._await(self._said.get()) == "lifespan.startup.complete"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        assert self._await(self._said.get()) == "lifespan.shutdown.complete"
        self._life.result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    def ask(self, path: str, body: Any = None, kind: str = "application/json", **headers: str) -> Answer:
        """POST where there is a body, else GET; a body that is not bytes is sent as JSON."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        given |= {"content-type": kind, "content-length": str(len(data)), "host": "test"}
        return self._await(self._ask(path, data, "GET" if body is None else "POST", given))

    async def _ask(self, path: str, data: bytes, method: str, headers: dict[str, str]) -> Answer:
        path, _, query = path.partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        }  # fmt: skip
        said: list[MutableMapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": data, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            said.append(message)

        await self._app(scope, receive, send)
        found = {name.decode(): value.decode() for name, value in said[0]["headers"]}
        return Answer(said[0]["status"], found, b"".join(message.get("body", b"") for message in said[1:]))

    async def _live(self) -> None:
        begun = False

        async def receive() -> dict[str, str]:
            nonlocal begun
            if begun:
                await self._stop.wait()
            begun, was = True, begun
            return {"type": "lifespan.shutdown" if was else "lifespan.startup"}

        async def send(message: MutableMapping[str, Any]) -> None:
            await self._said.put(message["type"])

        await self._app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)

    def _await(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)
