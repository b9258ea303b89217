"""When a run starts a round of maintenance: after so much time, or so many micro-batches."""

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import structlog

from jobs.maintenance.maintain import Task
from schemas.settings import Tables as TablesSettings

log = structlog.get_logger()

CLEAN_SECONDS = 3600.0  # between two rounds that also look for what is old, which lists whole folders
LONGEST_SECONDS = 900.0  # of a round: then it hangs, and is ended
STOP_SECONDS = 2.0
COMMAND = [sys.executable, "-m", "jobs.maintenance.worker"]


class MaintenanceScheduler:
    """Starts rounds, one at a time, in processes of their own; `look` never waits."""

    def __init__(self, task: Task) -> None:
        self._settings: TablesSettings = task.settings
        self._task = replace(task, rows=task.settings.writer != "delta-spark")
        self._child: subprocess.Popen[bytes] | None = None
        self._begun = time.monotonic()  # of the last round, or of the run
        self._cleaned: float | None = None
        self._commits = 0

    def committed(self) -> None:
        """A micro-batch was committed."""
        self._commits += 1

    def look(self) -> None:
        """Start a round if it is time; end one that hangs."""
        now = time.monotonic()
        if self._child is not None:
            if self._child.poll() is None:
                if now - self._begun > LONGEST_SECONDS:
                    log.warning("maintenance", outcome="ended, it took too long", seconds=LONGEST_SECONDS)
                    self._child.kill()
                return
            if self._child.returncode not in (0, 75):
                log.warning("maintenance", outcome="failed", exit_code=self._child.returncode)
            self._child = None
        every = self._settings.maintain_every
        if every and self._commits and (now - self._begun >= every or self._commits >= self._settings.maintain_commits):
            self._start(now)

    def stop(self) -> None:
        """End the round that is at work, if any: that leaves whole tables."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()

    def _start(self, now: float) -> None:
        clean = self._cleaned is None or now - self._cleaned >= CLEAN_SECONDS
        self._begun, self._commits = now, 0
        self._cleaned = now if clean else self._cleaned
        code = str(Path(__file__).parents[2])  # where our packages are, installed or not
        path = os.pathsep.join(filter(None, (code, os.environ.get("PYTHONPATH"))))
        self._child = subprocess.Popen(
            COMMAND, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": path}
        )
        assert self._child.stdin is not None
        text = replace(self._task, clean=clean).to_json()
        with contextlib.suppress(BrokenPipeError), self._child.stdin as task:
            task.write(text.encode())
