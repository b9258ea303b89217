"""How long a request is worked on: until its deadline, and as long as somebody waits for the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from jobs.serving.requests.problems import RequestError
from schemas.settings import Serving

TIMEOUT = "x-request-timeout-ms"
LOOK_AFTER = 0.05  # seconds; most answers are there by then, and to look costs a task
_WAITING = "streamscore.waiting"


@dataclass(slots=True)
class Gate:
    """How many requests are worked on at once, of all protocols."""

    at_work: int = 0


async def in_time(
    request: Request, gate: Gate, settings: Serving, answer: Callable[[], Awaitable[Response]]
) -> Response:
    """The answer to a request, if it comes before the deadline and somebody waits for it.

    What waits in a queue when its time is over, or its caller has gone, is not predicted.

    Raises:
        RequestError: too many requests are worked on (503), nothing of this one was read; its body did not come in time
            (408), or its answer did not (504).
    """
    if gate.at_work >= settings.max_requests:
        raise RequestError(503, "too many requests at once; try again", headers={"Retry-After": "1"})
    caller = _Caller(request, _seconds(request, settings.request_seconds))
    request.scope[_WAITING] = caller
    gate.at_work += 1
    try:
        async with asyncio.timeout(caller.seconds) as deadline:
            caller.deadline = deadline
            return await answer()
    except TimeoutError as error:
        if not deadline.expired():
            raise
        what, status = ("answer", 504) if caller.has_sent else ("body", 408)
        detail = f"no {what} within {caller.seconds:g} s; ask for less, or give it more time"
        raise RequestError(status, detail) from error
    except asyncio.CancelledError:
        if not caller.is_gone:
            raise
        return Response(status_code=499)
    finally:
        gate.at_work -= 1
        caller.let_go()


def body_is_read(request: Request) -> None:
    """From now on, a caller who goes away is noticed."""
    if caller := request.scope.get(_WAITING):
        caller.look_later()


def give_less_time(request: Request, seconds: float) -> None:
    """What else says how long a request may take, since it came; not more than it had."""
    if (caller := request.scope.get(_WAITING)) and seconds < caller.seconds:
        caller.give(seconds)


def _seconds(request: Request, most: float) -> float:
    """What the caller gives it, at most what the settings do."""
    given = request.headers.get(TIMEOUT)
    if given is None:
        return most
    if not given.isdecimal() or len(given) > 12 or not int(given):
        raise RequestError(400, f"{TIMEOUT} is {given[:20]!r}, wanted milliseconds as a whole number above 0")
    return min(int(given) / 1000, most)


class _Caller:
    """Who waits for an answer.

    Attributes:
        seconds: that the answer may take, until `deadline`.
    """

    def __init__(self, request: Request, seconds: float) -> None:
        self.seconds, self._began = seconds, asyncio.get_running_loop().time()
        self.deadline: asyncio.Timeout | None = None
        self._request, self._answering = request, asyncio.current_task()
        self._later: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task[None] | None = None
        self.has_sent = request.method in ("GET", "HEAD")
        self.is_gone = False

    def give(self, seconds: float) -> None:
        self.seconds = seconds
        if self.deadline:
            self.deadline.reschedule(self._began + seconds)

    def look_later(self) -> None:
        self.has_sent = True
        self._later = asyncio.get_running_loop().call_later(LOOK_AFTER, self._look)

    def let_go(self) -> None:
        if self._later:
            self._later.cancel()
        if self._looking:
            self._looking.cancel()

    def _look(self) -> None:
        self._looking = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        message = await self._request.receive()
        if message["type"] == "http.disconnect" and self._answering:
            self.is_gone = True
            self._answering.cancel()
