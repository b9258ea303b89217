"""Whether a registered version holds where it will have to: in a process that has only the registry."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from schemas.errors import RegistryError, SettingsError, StorageError
from schemas.feed import Feed
from streamscore.registry.registry import Registry
from training.settings import Check

COMMAND = ("-m", "jobs.cli", "check-version")
OURS = "streamscore: "  # how the command's own errors begin
# endings of the command that say nothing of the version
OUTAGES = {kind.exit_code: kind for kind in (SettingsError, RegistryError, StorageError)}


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What the check found; a figure is None where it did not come so far.

    Attributes:
        reasons: why not, a line each; empty: passed.
        predict_ms: p99 of predicting the input example.
        memory_mb: resident, with the model loaded.
        rows: of the input example that the stream answered too.
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


class Checker:
    """A fresh process that imports what it needs while a model is trained, and is then told which version to try.

    Training may not import the stream, so that all of it is done by a command.
    """

    def __init__(self, feed: Feed, name: str, registry: Registry) -> None:
        """Start it.

        Args:
            feed: one that the command finds by its name, from the same folder.
            name: the registered model.
        """
        self._name = name
        self._process = subprocess.Popen(
            [sys.executable, *COMMAND, feed.name, name],
            env=os.environ | registry.variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def check(self, version: str, limits: Check) -> CheckReport:
        """Try a registered version, through the registry's verified download; once.

        1. It loads and predicts its input example.  2. Time and memory are under the limits.  3. The stream gives
        the same answers: `score()`, of a series `score_series()`.

        Raises:
            SettingsError, RegistryError, StorageError: the command could not get at the version; nothing is said of it.
        """
        try:
            out, err = self._process.communicate(f"{version}\n", timeout=limits.seconds)
        except subprocess.TimeoutExpired:
            return CheckReport(
                (f"the check of {self._name} v{version} did not end in {limits.seconds:g} s, and was stopped",)
            )
        code = self._process.returncode
        if error := OUTAGES.get(code):
            raise error(_said(code, err))
        if code:
            return CheckReport((_said(code, err),))
        return judge_limits(json.loads(out.splitlines()[-1]), limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """End it, if it still runs."""
        self._process.kill()
        self._process.communicate()


def judge_limits(found: Mapping[str, Any], limits: Check) -> CheckReport:
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


def _said(code: int, err: str) -> str:
    """Why the command ended as it did: the one line of our own errors, else the last that there is."""
    if code < 0:
        return f"the process that loaded it was killed by signal {-code}"
    lines = [line for line in err.splitlines() if line.strip()]
    ours = [line for line in lines if line.startswith(OURS)]
    return (ours or lines or [f"the check ended with {code}"])[-1].removeprefix(OURS)
