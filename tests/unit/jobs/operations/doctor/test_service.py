"""What the doctor says of the online service."""

import http.server
import threading
from datetime import date
from pathlib import Path

import pytest

from jobs.operations.doctor.service import check_keys, check_port, check_spool
from jobs.serving.access.keys import hash_of
from jobs.serving.request_log.log import RequestLog
from schemas.settings import Key, Serving
from services.server import free_port
from tests.support.request_kit import answered, settings_of


class Other(http.server.BaseHTTPRequestHandler):
    """A server that is not the service, until it is told what to say."""

    status, said = 200, b"<html>"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.said)

    def log_message(self, *_: object) -> None: ...


def test_a_port_is_free_or_answers_or_is_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_port(Serving(port=free_port())).ok
    with http.server.HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        serving = Serving(port=server.server_port)
        found = check_port(serving)
        assert (found.ok, found.exit_code) == (False, 0)
        assert found.fix == f"streamscore serve --port {server.server_port + 1}"
        monkeypatch.setattr(Other, "said", b'{"ready":true,"live":true}')
        assert check_port(serving).ok
        monkeypatch.setattr(Other, "status", 503)
        assert "not ready" in check_port(serving).found
        server.shutdown()


def test_keys_that_let_nobody_in_are_told() -> None:
    key = Key(name="web", hash=hash_of("x"), predict=("*",), expires=date(2020, 1, 1))
    assert check_keys(Serving()).ok
    assert "web expired" in check_keys(Serving(keys=(key,))).found
    assert check_keys(Serving(host="0.0.0.0")).exit_code == 2


def test_the_spool_says_what_waits(tmp_path: Path) -> None:
    assert check_spool(tmp_path / "spool").ok
    (tmp_path / "tables").write_text("")
    log = RequestLog(settings_of(tmp_path))
    log.start()
    log.done(answered(1))
    log.stop()
    assert "1 requests: 0 logged, 1 waiting" in check_spool(tmp_path / "spool").found
