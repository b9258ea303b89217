"""Requests answered online, beside MLflow's own server: one row a request, many, and models that take their time."""

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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.bench import Bench
from benchmarks.models import ELASTIC_NET, FOREST, LATE
from schemas.feed import load_feed
from services.server import free_port

OURS, MLFLOW = "streamscore", "mlflow models serve"
CONNECTIONS = 16
# name → model, rows a request
LOADS = {
    "elastic net, 1 row": (ELASTIC_NET, 1),
    "elastic net, 1,000 rows": (ELASTIC_NET, 1000),
    "forest of 100 trees, 1 row": (FOREST, 1),
    "20 ms a call, 1 row": (LATE, 1),
}
FIGURES = "requests failed p50 p99 rate"
# wrk prints the latencies of all requests only by a script
SCRIPT = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.body = io.open("{body}"):read("*a")
function done(summary, latency, requests)
  local bad = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format("figures %d %d %f %f %f\\n", summary.requests, bad, latency:percentile(50) / 1e6,
    latency:percentile(99) / 1e6, 1e6 * summary.requests / summary.duration))
end
"""


def measure(bench: Bench) -> Any:
    """Load → server → requests, failed ones, p50 and p99 in seconds, requests a second; one worker each."""
    if not (wrk := shutil.which("wrk")):
        bench.left_out["serving"] = "found no wrk, which sends the load; install it"
        return {}
    found: dict[str, Any] = {}
    limit = bench.limit("serving")
    for name, (model, rows) in LOADS.items():
        body = bench.scratch / f"body-{rows}.json"
        body.write_text(json.dumps({"dataframe_records": records(bench, rows)}))
        for server, command in ((OURS, ours), (MLFLOW, mlflows)):
            if limit.over():
                return found
            with serving(bench, command(bench.models[model])) as port:
                found.setdefault(name, {})[server] = load(wrk, bench, port, body)
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
def serving(bench: Bench, command: list[str]) -> Iterator[int]:
    """A server that answers, on this port."""
    port = free_port()
    programs = (
        f"{Path(sys.executable).parent}{os.pathsep}{bench.environment['PATH']}"  # MLflow calls uvicorn by its name
    )
    folder = bench.scratch / f"serving-{port}"
    folder.mkdir()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, str(port)],
            env={**bench.environment, "PATH": programs},
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_ready(port, process, folder / "log")
        yield port
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


def load(wrk: str, bench: Bench, port: int, body: Path) -> Mapping[str, float]:
    """Requests from 16 connections, for some seconds after some that do not count."""
    script = body.with_suffix(".lua")
    script.write_text(SCRIPT.format(body=body))
    url = f"http://127.0.0.1:{port}/invocations"
    for seconds in (bench.sizes.serving / 4, bench.sizes.serving):
        command = [
            wrk,
            "-t1",
            f"-c{CONNECTIONS}",
            f"-d{max(1, round(seconds))}s",
            "--timeout",
            "30s",
            "-s",
            str(script),
        ]
        said = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    figures = re.findall(r"^figures (.*)$", said, re.MULTILINE)[0].split()
    return dict(zip(FIGURES.split(), map(float, figures), strict=True))
