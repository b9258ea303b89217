"""Several workers of the service: one that is killed is replaced, and the others answer meanwhile."""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.server import free_port
from tests.support.new_database import new_database
from tests.support.wait import until

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.repeats]

ROOT = Path(__file__).parents[2]


def status_of(port: int, path: str = "/v2/health/ready") -> int:
    """0: the connection was closed, as by a worker that is gone."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().status
    return 0


def workers_of(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    found = []
    for child in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.Error):  # it has ended
            found += [child] if "spawn_main" in " ".join(child.cmdline()) else []
    return found


def assert_patient(process: "subprocess.Popen[bytes]", port: int) -> None:
    """A worker that does nothing for 7 s, as in a load that holds Python's lock, is not killed for it; and a connection
    that is idle as long goes on. (uvicorn kills after 5 s and closes after 5 s; proxies keep connections for 60.)
    """
    kept = [http.client.HTTPConnection("127.0.0.1", port, timeout=30) for _ in range(6)]
    sockets = [asked_on(connection) for connection in kept]
    workers = {one.pid for one in workers_of(process)}
    paused = min(workers)
    os.kill(paused, signal.SIGSTOP)
    try:
        time.sleep(7)
    finally:
        os.kill(paused, signal.SIGCONT)
    assert [asked_on(connection) for connection in kept] == sockets
    time.sleep(2)
    assert {one.pid for one in workers_of(process)} == workers


def asked_on(connection: http.client.HTTPConnection) -> Any:
    """Ask, and give the socket that was asked on."""
    connection.request("GET", "/v2")
    answer = connection.getresponse()
    assert (answer.status, bool(answer.read())) == (200, True)
    return connection.sock


def test_a_killed_worker_is_replaced_while_the_other_answers_and_a_slow_one_is_not_killed(tmp_path: Path) -> None:
    port = free_port()
    environment = os.environ | {
        "STREAMSCORE_REGISTRY__TRACKING_URI": new_database(tmp_path),
        "STREAMSCORE_SCRATCH": str(tmp_path / "scratch"),
        "STREAMSCORE_TABLES__PATH": str(tmp_path / "tables"),
        "STREAMSCORE_SERVING__ADMIN_PORT": "0",
        "STREAMSCORE_SERVING__DRAIN_SECONDS": "0.2",
    }
    command = [sys.executable, "-m", "jobs.cli", "serve", f"--port={port}", "--workers=2"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        until(lambda: len(workers_of(process)) == 2 and status_of(port) == 200, 120)
        until(lambda: (tmp_path / "log").read_text().count('"ready"') == 2, 120)
        found: list[int] = []
        done = threading.Event()

        def ask() -> None:
            while not done.is_set():
                found.append(status_of(port))
                time.sleep(0.01)

        asking = threading.Thread(target=ask)
        asking.start()
        first = workers_of(process)[0]
        os.kill(first.pid, signal.SIGKILL)
        until(lambda: len(alive := workers_of(process)) == 2 and first.pid not in {one.pid for one in alive}, 60)
        until(lambda: (tmp_path / "log").read_text().count('"ready"') == 3, 120)
        done.set()
        asking.join()
        assert set(found) <= {200, 503, 0}
        assert found.count(0) <= 2  # what the killed one was answering
        assert found[-1] == 200
        assert_patient(process, port)
        assert (tmp_path / "log").read_text().count('"ready"') == 3
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            assert process.wait(60) == 0
        process.kill()
