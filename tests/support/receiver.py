"""A real receiver of Standard Webhooks on loopback, which checks each signature by the rules of the specification."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


class WebhookReceiver:
    """Answers as `answers` says, by the number of requests before; keeps what it got.

    Attributes:
        got: webhook-id and body of each request, in their order.
    """

    def __init__(self, answers: Callable[[int], tuple[int, dict[str, str]]] = lambda _: (204, {})) -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                name, at = self.headers["webhook-id"], self.headers["webhook-timestamp"]
                signed = hmac.new(KEY, f"{name}.{at}.{body.decode()}".encode(), hashlib.sha256).digest()
                is_right = self.headers["webhook-signature"] == f"v1,{base64.b64encode(signed).decode()}"
                status, headers = answers(len(receiver.got))
                receiver.got.append((name if is_right else "FORGED", json.loads(body)))
                self.send_response(status)
                for header, value in headers.items():
                    self.send_header(header, value)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/in"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def types(self) -> list[str]:
        """What came, as `type` says it."""
        return [body["type"] for _, body in self.got]

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
