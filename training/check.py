"""Whether a registered version holds where it will have to: in a process that has only the registry."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from schemas.errors import RegistryError, SettingsError, StorageError
from schemas.feed import Feed
from schemas.registry import Registry
from training.settings import Check

COMMAND = ("-m", "jobs.cli", "check-version")
OURS = "streamscore: "  # how the command's own errors begin
# endings of the command that say nothing of the version
OUTAGES = {kind.exit_code: kind for kind in (SettingsError, RegistryError, StorageError)}


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What the check found; a figure is null where it did not come so far.

    Attributes:
        reasons: why not, a line each; empty: passed.
        predict_ms: p99 of predicting the input example.
        memory_mb: resident, with the model loaded.
        rows: of the input example that the stream's `score()` predicted as the model itself does; null for a series.
    """

    reasons: tuple[str, ...]
    predict_ms: float | None = None
    memory_mb: float | None = None
    rows: int | None = None

    @property
    def passed(self) -> bool:
        return not self.reasons

    def to_json(self) -> str:
        """Its attributes, and `passed`."""
        return json.dumps({"passed": self.passed} | asdict(self), indent=2)


def check_version(feed: Feed, name: str, version: str, registry: Registry, limits: Check) -> CheckReport:
    """Try a registered version in a fresh process, through the registry's verified download.

    1. It loads and predicts its input example.  2. Time and memory are under the limits.  3. The stream's `score()`
    gives the same answers. Training may not import the stream, so that all of it is done by a command.

    Args:
        feed: one that the command finds by its name, from the same folder.

    Raises:
        SettingsError, RegistryError, StorageError: the command could not get at the version; nothing is said of it.
    """
    command = [sys.executable, *COMMAND, feed.name, name, version]
    environment = os.environ | registry.variables
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=limits.seconds
        )
    except subprocess.TimeoutExpired:
        return CheckReport((f"the check of {name} v{version} did not end in {limits.seconds:g} s, and was stopped",))
    if error := OUTAGES.get(done.returncode):
        raise error(_said(done))
    if done.returncode:
        return CheckReport((_said(done),))
    return judge(json.loads(done.stdout.splitlines()[-1]), limits)


def judge(found: Mapping[str, Any], limits: Check) -> CheckReport:
    """What the command found, against the limits.

    Args:
        found: `predict_ms`, `memory_mb`, `rows` and `differences`, as `streamscore check-version` prints them.
    """
    reasons = list(found["differences"])
    milliseconds, megabytes = found["predict_ms"], found["memory_mb"]
    if milliseconds > limits.predict_ms:
        reasons.append(f"its example takes {milliseconds:.1f} ms (p99), wanted at most {limits.predict_ms:g} ms")
    if megabytes > limits.memory_mb:
        reasons.append(f"its process takes {megabytes:.0f} MB, wanted at most {limits.memory_mb:g} MB")
    return CheckReport(tuple(reasons), milliseconds, megabytes, found["rows"])


def _said(done: subprocess.CompletedProcess[str]) -> str:
    """Why the command ended as it did: the one line of our own errors, else the last that there is."""
    if done.returncode < 0:
        return f"the process that loaded it was killed by signal {-done.returncode}"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    ours = [line for line in lines if line.startswith(OURS)]
    return (ours or lines or [f"the check ended with {done.returncode}"])[-1].removeprefix(OURS)
