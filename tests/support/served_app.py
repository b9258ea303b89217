"""An application behind the service's own HTTP, in a thread of the test."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn

from jobs.serving.protocol import BoundedProtocol


@contextlib.contextmanager
def served(app: Any) -> Iterator[int]:
    """The port that it listens on."""
    as_run: Any = {"loop": "uvloop", "http": BoundedProtocol, "reset_contextvars": True}
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", **as_run)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        until = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < until
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)


def ask(port: int, body: bytes = b"", head: str = "", wait: float = 10) -> tuple[int, bytes]:
    """Status and the whole answer; 0 if none came in time."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as connection:
        length = "" if "transfer-encoding" in head else f"content-length: {len(body)}\r\n"
        text = f"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{length}{head}\r\n"
        connection.sendall(text.encode() + body)
        return answer_on(connection)


def answer_on(connection: socket.socket) -> tuple[int, bytes]:
    """What comes until the other side closes."""
    found = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        while piece := connection.recv(2**16):
            found += piece
    return int(found.split(b" ", 2)[1]) if found else 0, found
