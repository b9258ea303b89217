"""Requests answered online: beside MLflow's own server, and what happens while models come and go."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from benchmarks.bench import Bench, Limit
from benchmarks.models import ELASTIC_NET, FOREST, LATE
from benchmarks.parts import serving_models
from benchmarks.wrk import CONNECTIONS, Load
from schemas.feed import load_feed
from services.server import free_port

OURS, ALONE, MLFLOW = "streamscore", "streamscore, one request a call", "mlflow models serve"
HALF = "elastic net, 1 row, half load"
# name → model, rows a request, servers
LOADS = {
    "elastic net, 1 row": (ELASTIC_NET, 1, (OURS, MLFLOW)),
    "elastic net, 1,000 rows": (ELASTIC_NET, 1000, (OURS, MLFLOW)),
    "forest of 100 trees, 1 row": (FOREST, 1, (OURS, MLFLOW)),
    "20 ms a call, 1 row": (LATE, 1, (OURS, ALONE, MLFLOW)),
}


class Server:
    """A server that answers.

    Attributes:
        process: it, and what it started.
    """

    def __init__(self, port: int, process: "subprocess.Popen[bytes]", bench: Bench) -> None:
        self.port, self.process, self.bench = port, psutil.Process(process.pid), bench

    def body(self, rows: int) -> Path:
        """A file with a request of so many rows."""
        path = self.bench.scratch / f"body-{rows}.json"
        if not path.exists():
            path.write_text(json.dumps({"dataframe_records": records(self.bench, rows)}))
        return path

    def metric(self, name: str) -> float:
        """The sum of a metric's series."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))

    @property
    def memory(self) -> int:
        """Resident bytes."""
        return sum(one.memory_info().rss for one in (self.process, *self.process.children(recursive=True)))


def measure(bench: Bench) -> Any:
    """Loads, and the figures of `serving_models`, each by its name; what there was no time for is missing."""
    if not shutil.which("wrk"):
        bench.left_out["serving"] = "found no wrk, which sends the load; install it"
        return {}
    limit = bench.limit("serving")
    found: dict[str, Any] = {"loads": measure_loads(bench, limit)}
    with serving(bench, ours(serving_models.register(bench)), **serving_models.ENVIRONMENT) as server:
        for name, part in serving_models.PARTS.items():
            if not limit.over():
                found[name] = part(server)
    if not limit.over():
        environment = serving_models.ENVIRONMENT | {"STREAMSCORE_SERVING__MAX_MODELS": "20"}
        with serving(bench, ours(bench.models[ELASTIC_NET]), **environment) as server:
            found["come_and_go"] = serving_models.come_and_go(server)
    return found


def measure_loads(bench: Bench, limit: Limit) -> dict[str, Any]:
    """Load → server → figures of wrk; one worker each."""
    found: dict[str, Any] = {}
    commands: Mapping[str, Callable[[str], list[str]]] = {OURS: ours, ALONE: ours, MLFLOW: mlflows}
    for name, (model, rows, servers) in LOADS.items():
        for kind in servers:
            if limit.over():
                return found
            environment = {"STREAMSCORE_SERVING__BATCH_ROWS": "1"} if kind == ALONE else {}
            with serving(bench, commands[kind](bench.models[model]), **environment) as server:
                load = Load(server.body(rows))
                load.run(server.port, bench.sizes.serving / 4)
                whole = found.setdefault(name, {})[kind] = load.run(server.port, bench.sizes.serving)
                if (kind, model, rows) == (OURS, ELASTIC_NET, 1):
                    half = Load(server.body(1), pause=2 * CONNECTIONS / whole["rate"] - whole["p50"] / 4)
                    found[HALF] = {kind: half.run(server.port, bench.sizes.serving)}
    return found


def ours(uri: str) -> list[str]:
    """Our service with one model."""
    return [sys.executable, "-m", "jobs.cli", "serve", "--model", uri, "--port"]


def mlflows(uri: str) -> list[str]:
    """MLflow's server with the same model."""
    return [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "-m", uri, "-p"]


def records(bench: Bench, rows: int) -> list[dict[str, Any]]:
    """Rows as both servers take them."""
    path = bench.scratch / f"rows-{rows}.csv"
    path.write_bytes(bench.file_of(rows))
    names = [column.name for column in load_feed("wine_quality").features]
    found: list[dict[str, Any]] = json.loads(pd.read_csv(path)[names].astype(float).to_json(orient="records"))
    return found


@contextmanager
def serving(bench: Bench, command: list[str], **environment: str) -> Iterator[Server]:
    """A server that answers."""
    port = free_port()
    programs = f"{Path(sys.executable).parent}{os.pathsep}{bench.environment['PATH']}"  # MLflow calls uvicorn by name
    folder = bench.scratch / f"serving-{port}"
    folder.mkdir()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, str(port)],
            env={**bench.environment, "PATH": programs, "STREAMSCORE_SERVING__ADMIN_PORT": "0", **environment},
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_ready(port, process, folder / "log")
        yield Server(port, process, bench)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def wait_ready(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the server answers, at most two minutes."""
    ends = time.monotonic() + 120
    while time.monotonic() < ends and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    msg = f"the server does not answer: {log.read_text('utf-8', 'replace')[-500:]}"
    raise RuntimeError(msg)
