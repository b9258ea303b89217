"""The commands as a user types them: exit codes, signals, spark-submit, metrics."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.command import exit_code
from tests.support.new_database import new_database
from tests.support.oracle import START_SECONDS, Oracle, Stream

ROOT = Path(__file__).parents[2]


def streamscore(*arguments: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "jobs.cli", *arguments]
    return subprocess.run(command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where no stream has run; its registry is empty."""
    folder = tmp_path_factory.mktemp("empty")
    (folder / "var").mkdir()
    new_database(folder / "var")
    return folder


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["run", "wine_qualty"], 2, "did you mean 'wine_quality'"),
        (
            ["run", "wine_quality", "--trigger", "continuous"],
            2,
            "continuous processing cannot write a table exactly once",
        ),
        (["run", "wine_quality", "--trigger", "soon"], 2, "wanted 0s, 500ms, '5 minutes' or available-now"),
        (["run", "wine_quality", "--profile", "lokal"], 2, "did you mean 'local'"),
        (["run", "wine_quality", "--landing", "/proc/nowhere"], 5, "--landing /proc/nowhere"),
        (["promote", "wine_quality", "1"], 4, "streamscore train wine_quality --promote"),
        (["run", "wine_quality", "--landing", "gs://bucket/in"], 2, "wanted a folder or s3://BUCKET/PREFIX"),
        (["models", "wine_quality"], 4, "models there: none"),
        (["run", "wine_quality"], 4, "next: streamscore train wine_quality --promote"),
        (["status", "wine_quality"], 0, "streamscore run wine_quality"),
    ],
)
def test_errors_say_what_is_wrong_in_their_first_line(
    empty: Path, arguments: Sequence[str], code: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*arguments, cwd=empty) == code
    printed = "".join(capfd.readouterr())
    assert said in " ".join(printed.split())
    assert "Traceback" not in printed


def test_an_unknown_variable_is_refused_with_the_nearest(tmp_path: Path) -> None:
    done = streamscore("status", "wine_quality", cwd=tmp_path, STREAMSCORE_STREAMING__MOD="driver")
    assert done.returncode == 2
    assert "did you mean STREAMSCORE_STREAMING__MODE" in done.stderr


@pytest.mark.slow
def test_ctrl_c_finishes_the_batch_of_a_stream_that_shows_what_it_did(
    stream: Stream, oracle: Oracle, capfd: pytest.CaptureFixture[str]
) -> None:
    """SIGTERM, while files keep landing, is in `spark/test_stream.py`."""
    port = free_port()
    stream.land(files=2, rows=20, seed=1)
    stream.start(f"--metrics-port={port}", max_files=1)
    stream.until(lambda: len(stream.table("predictions")) > 0)
    stream.until(lambda: 'streamscore_files_total{feed="wine_quality"} 2.0' in metrics(port))
    rows = len(stream.table("predictions"))
    assert f'streamscore_rows_total{{feed="wine_quality"}} {rows}.0' in metrics(port)
    assert 'streamscore_model_info{feed="wine_quality",model="wine_quality",version="1"} 1.0' in metrics(port)
    assert_a_second_run_is_turned_away(stream, capfd)
    stream.land(files=1, rows=20, seed=2)
    assert stream.process is not None
    os.kill(stream.process.pid, signal.SIGINT)
    assert stream.wait() == 0
    stream.run()
    oracle.assert_exactly_once(stream)
    assert exit_code("status", "wine_quality", *folders_of(stream), cwd=stream.root) == 0
    assert f"{len(stream.table('predictions')):,}" in capfd.readouterr().out


def assert_a_second_run_is_turned_away(stream: Stream, capfd: pytest.CaptureFixture[str]) -> None:
    """Naming the first, whose checkpoint it is."""
    for more in ([], ["--recover"]):
        registry = {"STREAMSCORE_REGISTRY__TRACKING_URI": stream.registry_uri}
        assert exit_code("run", "wine_quality", *folders_of(stream), *more, cwd=stream.root, **registry) == 75
        assert stream.process is not None
        assert f"in use by process {stream.process.pid} on" in capfd.readouterr().err


@pytest.mark.slow
def test_spark_submit_passes_its_signal_on(stream: Stream, oracle: Oracle, tmp_path: Path) -> None:
    with submitted(stream, tmp_path, "--trigger", "0s") as process:
        stream.land(files=1, rows=20, seed=1)
        stream.until(lambda: len(stream.table("predictions")) > 0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(START_SECONDS) == 0, stream.log()[-3000:]
    oracle.assert_exactly_once(stream)


@pytest.mark.slow
@pytest.mark.repeats
def test_spark_submit_runs_on_a_local_cluster_from_an_empty_folder(
    stream: Stream, oracle: Oracle, tmp_path: Path
) -> None:
    stream.land(files=1, rows=20, seed=2)
    flags = ["--trigger", "once", "--mode", "executors", "--", "--master", "local-cluster[2,1,1024]"]
    with submitted(stream, tmp_path, *flags) as process:
        assert process.wait(START_SECONDS) == 0, stream.log()[-3000:]
    oracle.assert_exactly_once(stream)
    assert "once is deprecated in Spark" in stream.log()


def folders_of(stream: Stream) -> list[str]:
    """The flags that say where a stream is."""
    return [f"--{name}={stream.root / name}" for name in ("landing", "tables", "checkpoint")]


def submitted(stream: Stream, folder: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    """spark-submit.sh, from an empty folder."""
    empty = folder / "empty"
    empty.mkdir(exist_ok=True)
    environment = os.environ | {"STREAMSCORE_REGISTRY__TRACKING_URI": stream.registry_uri}
    with (stream.root / "run.log").open("ab") as log:
        stream.process = subprocess.Popen(
            [str(ROOT / "spark-submit.sh"), "wine_quality", *folders_of(stream), *arguments],
            cwd=empty,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return stream.process


def metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        return re.sub(r"e\+0\d", "", answer.read().decode())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
