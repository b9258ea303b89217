"""`streamscore demo`: the whole system once, on made-up files, under var/demo."""

import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from schemas.errors import StorageError

FEED = "wine_quality"
FILES, ROWS = 40, 4_000
PREDICTED = ("alcohol", "ph", "quality", "prediction", "model_version")
REJECTED = ("reason", "column", "detail")
START_SECONDS = 120


def run_demo(out: Console, *, keep_running: bool) -> None:
    """Train, promote, stream, show.

    1. A model, trained and put into Production.  2. The stream, as its own process.  3. Files, one after the other.
    4. What stands in the tables.  5. A clean stop.

    Raises:
        StorageError: the stream ended, or its predictions do not come.
    """
    base = Path("var/demo").absolute()
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True)
    environment = os.environ | {
        "STREAMSCORE_LANDING": str(base / "landing"),
        "STREAMSCORE_TABLES__PATH": str(base / "tables"),
        "STREAMSCORE_CHECKPOINT": str(base / "checkpoint"),
        "STREAMSCORE_REGISTRY__TRACKING_URI": f"sqlite:///{base}/mlflow.db",
    }
    _command(out, environment, "train", FEED, "--promote")  # 1
    stream = _start(out, environment, base)  # 2
    try:
        waited = _land(out, environment, base, stream)  # 3
        _show(out, base, waited)  # 4
        _command(out, environment, "status", FEED)
        if keep_running:
            out.print(f"\nThe stream goes on: drop CSV files into {base / 'landing'}; Ctrl-C ends it.")
            stream.wait()
    except KeyboardInterrupt:
        pass
    finally:
        _stop(out, stream)  # 5
    out.print(
        "\nNext: [bold]streamscore run wine_quality[/bold], and drop your own files into var/landing/wine_quality"
    )


def _command(out: Console, environment: dict[str, str], *arguments: str) -> None:
    out.print(f"\n[bold]$ streamscore {' '.join(arguments)}[/bold]")
    done = subprocess.run([sys.executable, "-m", "jobs.cli", *arguments], env=environment, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


def _start(out: Console, environment: dict[str, str], base: Path) -> subprocess.Popen[bytes]:
    out.print(f"\n[bold]$ streamscore run {FEED} &[/bold]  (its log: {base / 'run.log'})")
    (base / "landing").mkdir(exist_ok=True)
    begun = time.monotonic()
    with (base / "run.log").open("wb") as log:
        # a session of its own: Ctrl-C is the demo's, which then stops the stream
        stream = subprocess.Popen(
            [sys.executable, "-m", "jobs.cli", "run", FEED],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    while "started" not in (base / "run.log").read_text("utf-8"):
        _assert_alive(stream, base, begun)
        time.sleep(0.1)
    out.print(f"started in {time.monotonic() - begun:.1f} s")
    return stream


def _land(out: Console, environment: dict[str, str], base: Path, stream: subprocess.Popen[bytes]) -> list[float]:
    """Move files into the landing folder one by one; the seconds until each one's commit is visible."""
    made = ["--rows", str(ROWS), "--files", str(FILES), "--bad", "0.01", "--out", str(base / "made")]
    _command(out, environment, "sample", FEED, *made)
    log, waited = base / "tables" / "predictions" / "_delta_log", []
    for path in sorted((base / "made").iterdir()):
        versions = _versions(log)
        begun = time.monotonic()
        path.rename(base / "landing" / path.name)
        while _versions(log) == versions:
            _assert_alive(stream, base, begun)
            time.sleep(0.001)
        waited.append(time.monotonic() - begun)
        time.sleep(0.05)
    return waited


def _show(out: Console, base: Path, waited: list[float]) -> None:
    from streamscore.tables.own_put_log import OwnPutLog

    predictions, rejects = (
        OwnPutLog(str(base / "tables" / name)).dataset().to_table() for name in ("predictions", "quarantine")
    )
    out.print(_table("predictions", PREDICTED, predictions.slice(0, 6).to_pylist()))
    out.print(_table("quarantine", REJECTED, rejects.slice(0, 6).to_pylist()))
    steady = [1000 * seconds for seconds in waited[len(waited) // 4 :]]
    out.print(
        f"\n{ROWS:,} rows landed = [bold]{predictions.num_rows:,} predictions + {rejects.num_rows} rejects[/bold]; "
        f"file rename to visible commit: p50 {statistics.median(steady):.0f} ms, max {max(steady):.0f} ms "
        f"(first, cold: {1000 * waited[0]:.0f} ms)"
    )


def _stop(out: Console, stream: subprocess.Popen[bytes]) -> None:
    if stream.poll() is None:
        stream.send_signal(signal.SIGTERM)
    try:
        code = stream.wait(timeout=30)
    except subprocess.TimeoutExpired:
        stream.kill()
        code = stream.wait()
    out.print(f"\nstream stopped with exit code {code}")


def _assert_alive(stream: subprocess.Popen[bytes], base: Path, begun: float) -> None:
    if stream.poll() is None and time.monotonic() - begun < START_SECONDS:
        return
    said = (base / "run.log").read_text("utf-8").strip().splitlines()[-3:]
    msg = f"the stream {'ended' if stream.poll() is not None else 'does not answer'}: {' '.join(said)}"
    raise StorageError(msg)


def _versions(log: Path) -> int:
    return len(list(log.glob("*.json")))


def _table(title: str, columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> Table:
    table = Table(*columns, title=title, title_justify="left", header_style="bold")
    table.add_column("where", no_wrap=True)
    for row in rows:
        values = [f"{v:.2f}" if isinstance(v, float) else str(v or "") for v in (row[name] for name in columns)]
        table.add_row(*values, f"{row['source_file']}:{row['source_line']}")
    return table
