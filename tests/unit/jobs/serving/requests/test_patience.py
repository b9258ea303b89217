"""Requests that nobody waits for, that take too long, or that are too many, over real connections."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobs.serving.protocol import MOST_HEAD
from jobs.serving.requests.body import read_body
from jobs.serving.requests.patience import Gate, body_is_read, give_less_time, in_time
from jobs.serving.requests.problems import RequestError
from schemas.settings import Serving
from tests.support.served_app import answer_on, ask, served


class Model:
    """One call at a time; a body of `n` takes n milliseconds, and one of `n:m` has m of them."""

    def __init__(self, **settings: Any) -> None:
        self.settings = Serving(**settings)
        self.gate = Gate()
        self.turn = asyncio.Lock()
        self.begun: list[bytes] = []
        self.read = 0

    async def handle(self, request: Request) -> Response:
        try:
            return await in_time(request, self.gate, self.settings, partial(self.answer, request))
        except RequestError as error:
            return Response(error.detail, error.status, error.headers)

    async def answer(self, request: Request) -> Response:
        body = (await read_body(request, 1000)).data
        self.read += 1
        body_is_read(request)
        body, _, less = body.partition(b":")
        if less:
            give_less_time(request, int(less) / 1000)
        async with self.turn:
            self.begun.append(body)
            await asyncio.sleep(int(body) / 1000)
        return Response(body)


@pytest.fixture
def model(request: Any) -> Iterator[tuple[Model, int]]:
    made = Model(**getattr(request, "param", {}))
    with served(Starlette(routes=[Route("/", made.handle, methods=["POST"])])) as port:
        yield made, port


def test_a_request_whose_time_is_over_is_refused_then_and_never_predicted(model: tuple[Model, int]) -> None:
    made, port = model
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(ask, port, b"1500")
        time.sleep(0.1)
        status, said = ask(port, b"1", "x-request-timeout-ms: 100\r\n")
        assert (status, b"no answer within 0.1 s" in said) == (504, True)
        assert not slow.done()
        assert slow.result()[0] == 200
    assert ask(port, b"2")[0] == 200
    assert made.begun == [b"1500", b"2"]
    assert made.gate.at_work == 0


@pytest.mark.repeats
def test_ten_seconds_are_ten_seconds_behind_a_call_of_ninety(model: tuple[Model, int]) -> None:
    made, port = model
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(ask, port, b"90000", "", 12)  # its caller goes away then
        time.sleep(0.1)
        began = time.monotonic()
        assert ask(port, b"1", "x-request-timeout-ms: 10000\r\n", 20)[0] == 504
        assert time.monotonic() - began >= 10
        assert not slow.done()
        assert slow.result()[0] == 0
    assert ask(port, b"2")[0] == 200
    assert made.begun == [b"90000", b"2"]


def test_what_a_body_says_of_its_time_counts_from_its_beginning(model: tuple[Model, int]) -> None:
    made, port = model
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(ask, port, b"1500")
        time.sleep(0.1)
        for body, given, within in ((b"1:100", "", "0.1"), (b"1:900", "100", "0.1"), (b"1:100", "900", "0.1")):
            status, said = ask(port, body, f"x-request-timeout-ms: {given}\r\n" if given else "")
            assert (status, f"no answer within {within} s".encode() in said) == (504, True)
        assert not slow.done()
        assert slow.result()[0] == 200
    assert ask(port, b"1:500")[0] == 200
    assert made.begun == [b"1500", b"1"]


def test_who_has_gone_is_not_answered_and_takes_nobodys_turn(model: tuple[Model, int]) -> None:
    made, port = model
    with ThreadPoolExecutor(8) as pool:
        slow = pool.submit(ask, port, b"600")
        time.sleep(0.1)
        gone = [pool.submit(ask, port, b"400", "", 0.15) for _ in range(7)]
        assert [one.result()[0] for one in gone] == [0] * 7
        assert slow.result()[0] == 200
        began = time.monotonic()
        good = [pool.submit(ask, port, b"1") for _ in range(8)]
        assert {one.result()[0] for one in good} == {200}
        assert time.monotonic() - began < 2  # those who have gone would take 2.8 s
    assert made.begun == [b"600", *[b"1"] * 8]


@pytest.mark.parametrize("model", [{"max_requests": 2}], indirect=True)
def test_one_request_more_than_may_be_at_work_is_refused_unread(model: tuple[Model, int]) -> None:
    made, port = model
    with ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(ask, port, b"300") for _ in range(2)]
        time.sleep(0.1)
        status, said = ask(port, b"1")
        assert (status, b"retry-after: 1" in said) == (503, True)
        assert made.read == 2
        assert [one.result()[0] for one in busy] == [200, 200]
    assert ask(port, b"1")[0] == 200


@pytest.mark.parametrize("given", ["0", "-1", "soon", "1.5", "", "9" * 20])
def test_a_deadline_that_is_none_is_refused(model: tuple[Model, int], given: str) -> None:
    assert ask(model[1], b"1", f"x-request-timeout-ms: {given}\r\n")[0] == 400


@pytest.mark.parametrize("model", [{"request_seconds": 0.3}], indirect=True)
def test_a_body_that_trickles_costs_a_bounded_time(model: tuple[Model, int]) -> None:
    _, port = model
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 900\r\n\r\n1")
        began = time.monotonic()
        status, _ = answer_on(connection)
    assert status == 408
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("begin", "again"),
    [(b"", b"x: y\r\n" * 1000), (b"", b"x" * 1000), (b"x: ", b"y" * 1000)],
    ids=["headers", "a name", "a value"],
)
def test_headers_that_do_not_end_are_refused(model: tuple[Model, int], begin: bytes, again: bytes) -> None:
    sent, most = 0, 100 * MOST_HEAD
    answers: list[tuple[int, bytes]] = []
    with socket.create_connection(("127.0.0.1", model[1]), timeout=5) as connection:
        reader = threading.Thread(target=lambda: answers.append(answer_on(connection)))
        reader.start()
        connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\n" + begin)
        with contextlib.suppress(ConnectionError):
            while sent < most and not answers:
                connection.sendall(again)
                sent += len(again)
        reader.join(5)
    assert sent < most
    assert not answers[0][1] or answers[0][0] == 431  # an answer may be lost to who goes on sending
