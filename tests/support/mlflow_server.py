"""A real MLflow server on SQLite, for the tests of what becomes of its answers."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tests.support.new_database import new_database

START_SECONDS = 600  # against a hang: it takes 10 s, on a busy machine 150


class LoopbackMlflow:
    """An MLflow server on loopback, artifacts through it; it can be made to hang."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.uri = f"http://127.0.0.1:{free.getsockname()[1]}"
        port = self.uri.rpartition(":")[2]
        store = ["--backend-store-uri", new_database(folder), "--artifacts-destination", f"{folder}/files"]
        command = [sys.executable, "-m", "mlflow", "server", *store, "--port", port, "--workers", "1"]
        with (folder / "server.log").open("wb") as log:
            # No jobs: seven more processes, for nothing that is tested here.
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise AssertionError((folder / "server.log").read_text())
            time.sleep(0.2)

    def signal(self, number: int) -> None:
        os.killpg(self._process.pid, number)

    def stop(self) -> None:
        if self._process.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
        self._process.wait()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2):
                return True
        except OSError:
            return False
