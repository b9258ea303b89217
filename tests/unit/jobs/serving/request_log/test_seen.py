"""What is noted of a request belongs to that request alone."""

import json
import socket

from starlette.types import Receive, Scope, Send

from jobs.serving.request_log.record import Record, current, note_route
from jobs.serving.request_log.seen import SeenRequests
from tests.support.served_app import answer_on, served


async def says_what_is_noted(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the route that was noted before it notes its own."""
    if scope["type"] == "lifespan":
        return
    record = current.get()
    before = record.route if record else None
    note_route(scope["path"], "id")
    body = json.dumps([scope["path"], before]).encode() + b"\n"
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


def test_requests_one_behind_the_other_on_a_connection_know_nothing_of_each_other() -> None:
    done: list[Record] = []
    asked = ["POST /a/predict", "GET /models/a", "POST /b/predict", "GET /v2"]
    with (
        served(SeenRequests(says_what_is_noted, [done.append])) as port,
        socket.create_connection(("127.0.0.1", port), 10) as connection,
    ):
        head = " HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n"
        sent = "".join(f"{one}{head}{'connection: close' if one is asked[-1] else 'x: y'}\r\n\r\n" for one in asked)
        connection.sendall(sent.encode())
        _, said = answer_on(connection)
    found = [json.loads(line) for line in said.splitlines() if line.startswith(b"[")]
    assert found == [["/a/predict", ""], ["/models/a", None], ["/b/predict", ""], ["/v2", None]]
    assert [record.route for record in done] == ["/a/predict", "/b/predict"]
