"""Every request as the server sees it: when it came, what became of it. It is noted before the answer is sent."""

import time
from collections.abc import Callable, Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.serving.access.keys import caller
from jobs.serving.request_log.record import BODY_BYTES, Record, current
from jobs.serving.requests.answers import REQUEST_ID

ENDINGS = ("/predict", "/forecast", "/infer", "/invocations")  # of the paths that ask a model


class SeenRequests:
    """An application around another one.

    Args:
        done: each is called with each request that asks a model, once it has an answer.
    """

    def __init__(self, app: ASGIApp, done: Sequence[Callable[[Record], None]]) -> None:
        self._app, self._done = app, done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not _asks_model(scope["path"]):
            await self._app(scope, receive, send)
            return
        record = Record()
        current.set(record)

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.identity = record.identity or _request_id(message)
                self._finish(record, message["status"])
            await send(message)

        await self._app(scope, receive, noted)

    def _finish(self, record: Record, status: int) -> None:
        record.requester = caller()
        record.status, record.seconds = status, time.perf_counter() - record.begun
        if record.given is not None:
            record.body = b""
        else:
            record.body = record.body[:BODY_BYTES]
        for done in self._done:
            done(record)


def _asks_model(path: str) -> bool:
    return path.endswith(ENDINGS) or path.startswith(("/predict/", "/forecast/"))


def _request_id(answer: Message) -> str:
    """The id that an answer has, which no route gave."""
    found = (value for name, value in answer.get("headers", ()) if name == REQUEST_ID.encode())
    return next(found, b"").decode("latin-1")
