"""Contestants as processes; only the one whose turn it is runs, the others are stopped."""

import os
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

FEED = "wine_quality"
SECONDS = 180


@dataclass
class Contestant:
    """A running pipeline and what was measured of it.

    Attributes:
        command: its process; streams `landing` into `tables`/predictions.
        waits: file rename → visible commit, seconds, in order.
        first: command → first visible prediction, seconds.
    """

    name: str
    command: list[str]
    folder: Path
    environment: dict[str, str]
    waits: list[float] = field(default_factory=list)
    first: float = 0.0
    process: "subprocess.Popen[bytes] | None" = None
    look_seconds: ClassVar[float] = 0.0005  # between two looks for the commit

    @property
    def landing(self) -> Path:
        """Where it looks for files."""
        return self.folder / "landing"

    def start(self, text: bytes) -> None:
        """Start it, land the first file when it says so, and wait for that one's commit."""
        self.landing.mkdir(parents=True)
        begun = time.monotonic()
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        while b"started" not in (self.folder / "log").read_bytes():
            self._check(begun)
            time.sleep(0.01)
        self.land(text)
        self.first = time.monotonic() - begun

    def land(self, text: bytes) -> None:
        """Land one file, and wait until a commit more can be seen."""
        assert self.process is not None
        number = len(self.waits)
        before = self._commits()
        begun = self._put(f"{number:06}.csv", text)
        while self._commits() == before:
            self._check(begun)
            time.sleep(self.look_seconds)
        self.waits.append(time.monotonic() - begun)

    def turn(self, text: bytes, files: int, pause: float = 0.1) -> None:
        """Its share of one round: `files` files, one after the other."""
        self._signal(signal.SIGCONT)
        time.sleep(0.5)
        for _ in range(files):
            self.land(text)
            time.sleep(pause)
        self._signal(signal.SIGSTOP)

    def stop(self) -> None:
        """End it."""
        self._signal(signal.SIGKILL)

    def steady(self, share: float) -> float:
        """That quantile of the waits after the first third, milliseconds."""
        waits = sorted(self.waits[len(self.waits) // 3 :])
        return 1000 * waits[min(len(waits) - 1, int(share * len(waits)))]

    def median(self) -> float:
        """The median of the waits after the first third, milliseconds."""
        return 1000 * statistics.median(self.waits[len(self.waits) // 3 :])

    def _put(self, name: str, text: bytes) -> float:
        """Rename a file into place; the time before it."""
        hidden = self.folder / name
        hidden.write_bytes(text)
        begun = time.monotonic()
        hidden.rename(self.landing / name)
        return begun

    def _commits(self) -> int:
        log = self.folder / "tables" / "predictions" / "_delta_log"
        return sum(name.endswith(".json") for name in os.listdir(log)) if log.is_dir() else 0

    def _signal(self, number: int) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def _check(self, begun: float) -> None:
        assert self.process is not None
        if self.process.poll() is not None or time.monotonic() - begun > SECONDS:
            sys.exit(f"{self.name} ended or hangs: {(self.folder / 'log').read_text()[-2000:]}")


@dataclass
class StoreContestant(Contestant):
    """One whose landing folder and tables are in a bucket; a file is landed by a PUT, which counts.

    Attributes:
        client: boto3's.
        bucket: holds `landing` and `tables`.
    """

    client: Any = None
    bucket: str = ""
    _known: int = 0  # entries of the log that were seen
    look_seconds: ClassVar[float] = 0.005  # a look is a request, which takes its share of two cores

    def _put(self, name: str, text: bytes) -> float:
        begun = time.monotonic()
        self.client.put_object(Bucket=self.bucket, Key=f"landing/{name}", Body=text)
        return begun

    def _commits(self) -> int:
        """Looks for the next entries only: a LIST of thousands would be what is measured."""
        key = "tables/predictions/_delta_log/{:020}.json"
        try:
            while True:
                self.client.head_object(Bucket=self.bucket, Key=key.format(self._known))
                self._known += 1
        except self.client.exceptions.ClientError:
            return self._known
