"""One running pipeline: start it, land files, wait until their rows can be seen."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import psutil

from benchmarks import tree
from benchmarks.roster import Entry
from benchmarks.table_log import Commit, TableLog, in_folder

SECONDS = 300  # without a commit it is taken for stuck


class StuckError(RuntimeError):
    """A contestant ended by itself, or commits nothing; the end of its log is in the message."""


@dataclass
class Contestant:
    """A pipeline that streams `landing` into `tables`/predictions.

    Attributes:
        begun: monotonic seconds when its command was given.
        look_seconds: between two looks for a commit.
    """

    entry: Entry
    folder: Path
    environment: Mapping[str, str]
    begun: float = 0.0
    log: TableLog = field(init=False)
    look_seconds: ClassVar[float] = 0.0005
    _process: psutil.Popen | None = None
    _landed: int = 0

    def __post_init__(self) -> None:
        self.log = TableLog(in_folder(self.table))

    @property
    def table(self) -> Path:
        """The predictions."""
        return self.folder / "tables" / "predictions"

    @property
    def root(self) -> psutil.Process:
        """Its first process."""
        assert self._process is not None
        return self._process

    def start(self) -> None:
        """Give the command."""
        self.begun = time.monotonic()
        with (self.folder / "log").open("wb") as log:
            self._process = psutil.Popen(
                self.entry.command,
                env=dict(self.environment),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_started(self) -> float:
        """Wait until it says that it looks for files; seconds from the command."""
        while b"started" not in (self.folder / "log").read_bytes():
            self.check(self.begun)
            time.sleep(0.01)
        return time.monotonic() - self.begun

    def put(self, text: bytes) -> float:
        """Rename one file into place; the time before it, monotonic seconds."""
        name = f"{self._landed:06}.csv"
        self._landed += 1
        hidden = self.folder / f"{name}.new"
        hidden.write_bytes(text)
        begun = time.monotonic()
        hidden.rename(self.folder / "landing" / name)
        return begun

    def put_many(self, text: bytes, count: int) -> None:
        """Many files of one content: links to a few, each of which appears whole."""
        for first in range(0, count, 20_000):  # file systems bound the links of a file
            source = self.folder / f"links-{self._landed}"
            source.write_bytes(text)
            for _ in range(min(20_000, count - first)):
                hidden = self.folder / f"{self._landed:06}.new"
                os.link(source, hidden)
                hidden.rename(self.folder / "landing" / f"{self._landed:06}.csv")  # a link alone tells inotify nothing
                self._landed += 1
            source.unlink()

    def land(self, text: bytes, rows: int) -> float:
        """Land one file; seconds from its rename until its rows can be seen."""
        wanted = self.log.rows + rows
        begun = self.put(text)
        self.wait_rows(wanted, begun)
        return time.monotonic() - begun

    def wait_rows(self, wanted: int, since: float, look_seconds: float = 0.0) -> None:
        """Wait until so many rows can be seen."""
        while self.log.rows < wanted:
            if not self.log.look():
                self.check(since)
                time.sleep(look_seconds or self.look_seconds)

    def commits_until(self, wanted: int, ends: float) -> list[tuple[float, int]]:
        """The commits with rows until so many rows can be seen or the time is over: seconds from the command, rows."""
        found: list[tuple[float, int]] = []
        last = time.monotonic()
        while self.log.rows < wanted and time.monotonic() < ends:
            new: list[Commit] = self.log.look()
            if new:
                last = time.monotonic()
                found += [(last - self.begun, commit.rows) for commit in new]
            else:
                self.check(last)
                time.sleep(self.look_seconds)
        return found

    def pause(self) -> None:
        """It stands still, and takes no processor time from others."""
        tree.tell(self.root, signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        tree.tell(self.root, signal.SIGCONT)

    def stop(self) -> None:
        """End it, and remove its files."""
        if self._process is not None:
            tree.end(self._process)
            self._process.wait()
            self._process = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def check(self, since: float) -> None:
        """Raise if it ended by itself, or nothing has come for long.

        Raises:
            StuckError: with the end of its log.
        """
        assert self._process is not None
        ended = self._process.poll()
        if ended is not None or time.monotonic() - since > SECONDS:
            what = f"committed nothing for {SECONDS} s" if ended is None else f"ended with {ended}"
            log = (self.folder / "log").read_text("utf-8", errors="replace")
            msg = f"{self.entry.name} {what}; its log ends:\n{log[-2000:]}"
            raise StuckError(msg)
