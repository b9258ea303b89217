"""A fault proxy in front of an object store: HTTP/1.1 on a port that stays while the store comes and goes."""

import contextlib
import random
import select
import socket
import struct
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, urlsplit

from services.server import HOST

PIECE = 64 * 2**10
BODILESS = (204, 304)
SLOW_DOWN_HEAD = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
)
SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message><RequestId>proxy</RequestId></Error>"
)
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came in; `at` is monotonic seconds."""

    method: str
    target: str
    at: float

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def kind(self) -> str:
        """`LIST`, or the method."""
        return "LIST" if self.method == "GET" and "list-type" in self.query else self.method


class Proxy:
    """In front of the store at a URL, plain HTTP.

    It forwards everything as it came, because SigV4 signs it, until it is told otherwise: at any time, by any thread.

    Attributes:
        endpoint: its own URL.
        delay: seconds before a request is forwarded.
        errors: share of requests that are answered 503 SlowDown and not forwarded.
        cut: bytes of an answer's body after which the connection is cut.
        lost_answers: which requests the store does, and the client gets no answer to.
        stale_listing: LISTs of prefixes that begin so get the answer that the same LIST got before, if there was one.
        without_headers: names of headers, in lower case, that the store does not get to see.
        requests: all that came, refused ones too; none while `down`.
    """

    def __init__(self, store: str, seed: int = 0) -> None:
        self._store = urlsplit(store)
        self._random = random.Random(seed)
        self._down = False
        self.delay = 0.0
        self.errors = 0.0
        self.cut: int | None = None
        self.lost_answers: Callable[[Request], bool] = lambda request: False
        self.stale_listing: str | None = None
        self.without_headers: frozenset[str] = frozenset()
        self.requests: list[Request] = []
        self._listings: dict[str, list[bytes]] = {}
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server((HOST, 0), backlog=128)
        self.endpoint = f"http://{HOST}:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, name="proxy", daemon=True).start()

    @property
    def down(self) -> bool:
        """New connections are reset, those that there are were cut."""
        return self._down

    @down.setter
    def down(self, down: bool) -> None:
        self._down = down
        for one in list(self._open) if down else ():
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def count(self, kind: str, since: float = 0.0) -> int:
        """How many requests of a kind came since that monotonic time."""
        return sum(request.kind == kind and request.at >= since for request in list(self.requests))

    def most_in_a_second(self, kind: str) -> int:
        """The most requests of a kind that came within any one second."""
        times = sorted(request.at for request in list(self.requests) if request.kind == kind)
        return max((bisect_left(times, at + 1) - first for first, at in enumerate(times)), default=0)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.down = True

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                if self._down:
                    client.close()
                else:
                    threading.Thread(target=self._serve, args=[client], name="proxy", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """One connection of a client, and the one to the store that belongs to it."""
        with contextlib.suppress(OSError, ValueError), _Wire(client, self._open) as asking:
            with self._reach() as answering:
                while self._exchange(asking, answering):
                    pass
            # what was said is to arrive, also where the store or we close
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))

    def _reach(self) -> "_Wire":
        address = (self._store.hostname or HOST, self._store.port or 80)
        return _Wire(socket.create_connection(address, timeout=60), self._open)

    def _exchange(self, client: "_Wire", store: "_Wire") -> bool:
        """One request and its answer; whether another may follow."""
        if not client.waits_for_more(store):
            return False
        head = _Head(client)
        method, target, _ = head.lines[0].decode("latin-1").split(" ", 2)
        request = Request(method, target, time.monotonic())
        self.requests.append(request)
        time.sleep(self.delay)
        expects = head.fields.get("expect", "").lower() == "100-continue"
        made_up = self._made_up(request)
        if made_up:
            for _ in () if expects else client.body(head):
                pass
            for piece in made_up:
                client.send(piece)
            return b"Connection: close" not in made_up[0]
        store.send(head.to_bytes(self.without_headers))
        answer = _Head(store) if expects else None
        if answer is None or answer.status == 100:
            if answer:
                client.send(answer.to_bytes())
            for piece in client.body(head):
                store.send(piece)
            answer = _Head(store)
        if self.lost_answers(request):
            raise ConnectionAbortedError
        self._answer(request, client, store, answer)
        return "close" not in (head.fields.get("connection"), answer.fields.get("connection"))

    def _made_up(self, request: Request) -> list[bytes]:
        """The answer to a request that the store does not get; empty if it is to get it."""
        if self._random.random() < self.errors:
            head = SLOW_DOWN_HEAD % len(SLOW_DOWN)
            return [head] if request.method == "HEAD" else [head, SLOW_DOWN]
        prefix = request.query.get("prefix", [""])[0]
        if request.kind == "LIST" and self.stale_listing is not None and prefix.startswith(self.stale_listing):
            return self._listings.get(request.target, [])
        return []

    def _answer(self, request: Request, client: "_Wire", store: "_Wire", answer: "_Head") -> None:
        client.send(answer.to_bytes())
        pieces = [answer.to_bytes()]
        left = self.cut
        for piece in () if request.method == "HEAD" or answer.status in BODILESS else store.body(answer, to_end=True):
            client.send(piece if left is None else piece[:left])
            if left is not None and (left := left - len(piece)) < 0:
                raise ConnectionAbortedError
            if request.kind == "LIST":
                pieces.append(piece)
        if request.kind == "LIST" and answer.status == 200:
            self._listings[request.target] = pieces


class _Wire:
    """One connection, and what came in by it and was not read yet."""

    def __init__(self, connection: socket.socket, among: set[socket.socket]) -> None:
        self._socket, self._among, self._came = connection, among, b""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        among.add(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._among.discard(self._socket)
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def waits_for_more(self, other: "_Wire") -> bool:
        """Wait for the next request; False if the other end, which has nothing to say, closed meanwhile."""
        return bool(self._came) or self._socket in select.select([self._socket, other._socket], [], [])[0]

    def line(self) -> bytes:
        while b"\n" not in self._came:
            self._came += self._receive()
        line, _, self._came = self._came.partition(b"\n")
        return line + b"\n"

    def body(self, head: "_Head", to_end: bool = False) -> Iterator[bytes]:
        """The body that belongs to a head, as it is on the wire, in pieces."""
        if "chunked" in head.fields.get("transfer-encoding", "").lower():
            while size := int((line := self.line()).partition(b";")[0], 16):
                yield line
                yield from self._pieces(size + 2)
            yield line
            while line.strip():  # trailers
                yield (line := self.line())
        elif "content-length" in head.fields or not to_end:
            yield from self._pieces(int(head.fields.get("content-length", 0)))
        else:
            with contextlib.suppress(ConnectionResetError):
                yield from self._pieces(2**63)

    def _pieces(self, size: int) -> Iterator[bytes]:
        while size:
            came = self._came or self._receive()
            piece, self._came = came[:size], came[size:]
            size -= len(piece)
            yield piece

    def _receive(self) -> bytes:
        if not (data := self._socket.recv(PIECE)):
            raise ConnectionResetError
        return data


class _Head:
    """The first lines of a request or an answer."""

    def __init__(self, wire: _Wire) -> None:
        self.lines: list[bytes] = []
        while (line := wire.line()).strip():
            self.lines.append(line)
        named = [line.decode("latin-1").partition(":") for line in self.lines[1:]]
        self.fields = {name.lower(): value.strip() for name, _, value in named}

    @property
    def status(self) -> int:
        return int(self.lines[0].split()[1])

    def to_bytes(self, without: frozenset[str] = frozenset()) -> bytes:
        kept = [line for line in self.lines if line.partition(b":")[0].decode("latin-1").lower() not in without]
        return b"".join(kept) + b"\r\n"
