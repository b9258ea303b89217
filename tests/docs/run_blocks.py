"""Runs the blocks of one page in their order, in one working folder.

A bash block is a `bash -euo pipefail` of its own. All Python blocks of a page share one process. SQL runs in DuckDB,
where each Delta table under `var/tables` is `feed.table`, and just `table` if there is one feed.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

from tests.docs.blocks import Block

ROOT = Path(__file__).parents[2]
SECONDS = 900  # bounds a hang: a stream takes 8 s to start on a quiet machine, minutes on a busy one
HIDDEN = ("STREAMSCORE_", "MLFLOW_", "AWS_", "SPARK_", "PYTEST_")
DONE = "--- block done ---"
PYTHON = f"""
import json, sys
names = {{"__name__": "__main__"}}
for line in sys.stdin:
    where, code = json.loads(line)
    exec(compile(code, where, "exec"), names)
    sys.stdout.flush()
    print({DONE!r}, flush=True)
"""


class BlockFailed(AssertionError):
    """A block of a page that did not end well; the message has its line and what it printed."""


def environment() -> dict[str, str]:
    """That of a reader in the project's environment: its commands are first on PATH, and no settings are there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(HIDDEN)}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return kept | {"PATH": path, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg", "COLUMNS": "120"}


class PageRun:
    """Runs blocks of one page; whatever they leave running ends with it."""

    def __init__(self, folder: Path, title: str) -> None:
        self.folder = folder
        self.title = title
        self._python: subprocess.Popen[str] | None = None

    def __enter__(self) -> "PageRun":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._python is not None:
            _end(self._python)

    def run(self, block: Block) -> str:
        """What the block printed.

        Raises:
            BlockFailed: it ended with an error, or not within `SECONDS`.
        """
        return {"bash": self._run_bash, "python": self._run_python, "sql": self._run_sql}[block.language](block)

    def _run_bash(self, block: Block) -> str:
        with tempfile.TemporaryFile("w+") as output:
            process = self._start(["bash", "-euo", "pipefail", "-c", block.code], subprocess.DEVNULL, output)
            with self._bounded(process):
                code = process.wait()
            _end(process)
            output.seek(0)
            printed = output.read()
        if code:
            raise self._failure(block, f"exit code {code}", printed)
        return printed

    def _run_python(self, block: Block) -> str:
        process = self._python = self._python or self._start(
            [sys.executable, "-c", PYTHON], subprocess.PIPE, subprocess.PIPE
        )
        assert process.stdin and process.stdout
        printed = ""
        with self._bounded(process):
            process.stdin.write(json.dumps([f"{self.title} line {block.line}", block.code]) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                if line.rstrip("\n") == DONE:
                    return printed
                printed += line
        raise self._failure(block, "an error", printed)

    def _run_sql(self, block: Block) -> str:
        import duckdb
        from deltalake import DeltaTable

        tables = sorted(path.parent for path in self.folder.glob("var/tables/*/*/_delta_log"))
        feeds = sorted({path.parent.name for path in tables})
        with duckdb.connect() as connection:
            for path in tables:
                connection.register("found", DeltaTable(path).to_pyarrow_table())
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {path.parent.name}")
                connection.execute(f"CREATE TABLE {path.parent.name}.{path.name} AS SELECT * FROM found")
            if len(feeds) == 1:
                connection.execute(f"USE {feeds[0]}")
            try:
                return "\n".join(
                    str(connection.sql(one.query) or "") for one in connection.extract_statements(block.code)
                )
            except duckdb.Error as error:
                raise self._failure(block, "an error", str(error)) from error

    def _start(self, command: list[str], stdin: int, stdout: int | IO[str]) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment(),
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @contextlib.contextmanager
    def _bounded(self, process: "subprocess.Popen[str]") -> Iterator[None]:
        timer = threading.Timer(SECONDS, _end, [process])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _failure(self, block: Block, what: str, printed: str) -> BlockFailed:
        return BlockFailed(f"{self.title}, block at line {block.line}: {what}\n{block.code}\n{printed[-4000:]}")


def _end(process: "subprocess.Popen[str]") -> None:
    """End a process and what it started, which shares its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
