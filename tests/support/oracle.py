"""A stream as its own processes, killed at will, and the batch oracle that says what its tables must hold."""

import csv
import io
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from schemas.feed import Feed
from schemas.settings import Storage
from streamscore.registry.registry import Registry
from streamscore.storage.folder import Folder
from streamscore.storage.object_store import arrow_file_system, delta_options
from streamscore.storage.places import open_folder

START_SECONDS = 300  # a start that takes longer hangs; with four at once on two cores one took 100 s


@dataclass
class Stream:
    """One feed's landing folder, tables and checkpoint, and the process that streams it.

    Attributes:
        places: `landing`, `tables` and `checkpoint`; those that are not given lie below `root`.
        environment: more variables of the process.
        under: a program that starts it, with its arguments.
        cwd: where it is started; its `schemas/` may have a feed of its own.
    """

    root: Path
    feed: Feed
    registry_uri: str
    clean: str = "off"
    mode: str = "auto"
    writer: str = "delta-rs"
    places: dict[str, str] = field(default_factory=dict)
    storage: Storage = field(default_factory=Storage)
    environment: dict[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    under: list[str] = field(default_factory=list)
    landed: dict[str, str] = field(default_factory=dict)  # name → text, kept here whatever becomes of the file
    process: "subprocess.Popen[bytes] | None" = None

    def land(self, files: int, rows: int, seed: int) -> None:
        """Files with some spoiled rows each; the second one is refused as a whole."""
        from training.data.sample import sample

        for number in range(files):
            own_seed = 100 * seed + number
            (path,) = sample(self.feed, rows, 1, self.root / f"made-{own_seed}", bad=0.1, seed=own_seed).paths
            content = path.read_bytes()
            if number == 1:
                content = content.replace(b"alcohol", b"spirit", 1)
            self.put(path.name, content)

    def put(self, name: str, content: bytes) -> None:
        """Land a file, and remember it unless its name did land before."""
        self.landed.setdefault(name, content.decode("utf-8", "replace"))
        self.folder("landing").write(name, content)

    def place(self, name: str) -> str:
        """Where `landing`, `tables` or `checkpoint` is."""
        return self.places.get(name, str(self.root / name))

    def folder(self, name: str) -> Folder:
        """The same, to look into."""
        return open_folder(self.place(name), self.storage)

    @property
    def landing(self) -> Path:
        return Path(self.place("landing"))

    @property
    def checkpoint(self) -> Path:
        return Path(self.place("checkpoint"))

    @property
    def newest_batch(self) -> int:
        """The newest micro-batch that Spark has planned, -1 if none."""
        return self.newest("offsets")

    def newest(self, log: str) -> int:
        """The newest micro-batch in a log of Spark's, -1 if none."""
        return max((int(name) for name in self.folder("checkpoint").names(log) if name.isdigit()), default=-1)

    def start(self, *arguments: str, trigger: str = "0s", fail_at: str = "", max_files: int = 2) -> None:
        """A run in a process group of its own."""
        if not self.place("landing").startswith("s3://"):
            self.landing.mkdir(parents=True, exist_ok=True)
        flags = ["--trigger", trigger, "--clean", self.clean, "--mode", self.mode, "--max-files", str(max_files)]
        folders = [f"--{name}={self.place(name)}" for name in ("landing", "tables", "checkpoint")]
        # without what a session of this process has set for itself
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SPARK_")} | {
            "STREAMSCORE_REGISTRY__TRACKING_URI": self.registry_uri,
            "STREAMSCORE_REGISTRY__POLL_SECONDS": "0.5",
            "STREAMSCORE_TESTING__FAIL_POINTS": "true",
            "STREAMSCORE_TABLES__WRITER": self.writer,
            "STREAMSCORE_SPARK__MASTER": "local[2]",
            "STREAMSCORE_SCRATCH": str(self.root / "scratch"),
            "STREAMSCORE_STORAGE__ENDPOINT": self.storage.endpoint,
            "STREAMSCORE_STORAGE__REGION": self.storage.region,
            "STREAMSCORE_STORAGE__PATH_STYLE": str(self.storage.path_style),
            "STREAMSCORE_STORAGE__RETRY_SECONDS": str(self.storage.retry_seconds),
        }
        if fail_at:
            environment["STREAMSCORE_FAIL_AT"] = fail_at
        command = [*self.under, sys.executable, "-m", "jobs.cli", "run", self.feed.name, *flags, *folders, *arguments]
        with (self.root / "run.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=environment | self.environment,
                cwd=self.cwd,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self, seconds: float = START_SECONDS) -> int:
        """The exit code; -9 if it was killed."""
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"the stream goes on after {seconds} s:\n{self.log()[-3000:]}")

    def run(self, *arguments: str, **how: Any) -> None:
        """Catch up, to a clean end."""
        self.start(*arguments, trigger="available-now", **how)
        code = self.wait()
        assert code == 0, self.log()[-3000:]

    def kill(self) -> None:
        """kill -9 of the driver, its JVM and all their children."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def until(self, done: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Wait for something to be so while the stream runs."""
        until = time.monotonic() + seconds
        while not done():
            assert self.process is not None and self.process.poll() is None, self.log()[-3000:]
            assert time.monotonic() < until, f"not in {seconds} s:\n{self.log()[-3000:]}"
            time.sleep(0.02)

    def until_newer(self, folder: str, than: int) -> None:
        """Wait until `newest` of a folder of the checkpoint is greater."""
        self.until(lambda: self.newest(folder) > than)

    def log(self) -> str:
        return (self.root / "run.log").read_text("utf-8")

    def table(self, name: str) -> pd.DataFrame:
        """The rows of a table; empty if there is none."""
        uri = f"{self.place('tables')}/{name}"
        in_bucket = uri.startswith("s3://")
        options = delta_options(self.storage) if in_bucket else None
        if not DeltaTable.is_deltatable(uri, options):
            return pd.DataFrame()
        root = uri.removeprefix("s3://")
        files = SubTreeFileSystem(root, arrow_file_system(self.storage) if in_bucket else LocalFileSystem())
        return DeltaTable(uri, storage_options=options).to_pyarrow_dataset(filesystem=files).to_table().to_pandas()


@dataclass(frozen=True, slots=True)
class Tally:
    """Rows that are missing from the tables, and rows that are there more than once."""

    lost: int
    duplicated: int


@dataclass
class Oracle:
    """What a batch job over all landed files would have written, told without any of the stream's code."""

    feed: Feed
    registry: Registry
    models: dict[str, Any] = field(default_factory=dict)

    def assert_exactly_once(self, stream: Stream) -> None:
        """Every row once, in the right table, with the prediction of its recorded model version."""
        predictions, rejects = stream.table("predictions"), stream.table("quarantine")
        self._assert_places(stream, predictions, rejects)
        for version, rows in predictions.groupby("model_version"):
            features = rows[[c.table_name for c in self.feed.features]]
            features.columns = pd.Index([c.name for c in self.feed.features])
            wanted = self._model(str(version)).predict(features)
            np.testing.assert_allclose(rows["prediction"], wanted, rtol=1e-12)

    def tally(self, stream: Stream) -> Tally:
        """What is wrong with the places of rows, counted."""
        places: Counter[tuple[str, int]] = Counter()
        for name in ("predictions", "quarantine"):
            rows = stream.table(name)
            if len(rows):
                rows = rows[rows.source_line.notna()]
                places.update(zip(rows.source_file, rows.source_line.astype(int), strict=True))
        wanted = {
            (name, line)
            for name, text in stream.landed.items()
            for line, _ in enumerate(list(csv.reader(io.StringIO(text)))[1:], start=2)
            if "spirit" not in text.partition("\n")[0]
        }
        return Tally(len(wanted - set(places)), sum(count - 1 for count in places.values()))

    def _assert_places(self, stream: Stream, predictions: pd.DataFrame, rejects: pd.DataFrame) -> None:
        good: dict[tuple[str, int], dict[str, float]] = {}
        bad: list[tuple[str, int]] = []
        for name, text in stream.landed.items():
            header, *records = csv.reader(io.StringIO(text))
            if "spirit" in header:
                refused = rejects[(rejects.source_file == name) & (rejects.reason != "file_changed")]
                assert list(refused.reason) == ["missing_column"], name
                assert list(refused["rows"]) == [len(records)], name
                continue
            for line, record in enumerate(records, start=2):
                values = self._values(header, record)
                if values is None:
                    bad.append((name, line))
                else:
                    good[name, line] = values
        places = list(zip(predictions.source_file, predictions.source_line, strict=True))
        assert sorted(places) == sorted(good)
        of_rows = rejects[rejects.source_line.notna()]
        assert sorted(zip(of_rows.source_file, of_rows.source_line.astype(int), strict=True)) == sorted(bad)
        for column in self.feed.features:
            wanted = [good[place][column.name] for place in places]
            assert list(predictions[column.table_name]) == wanted, column.name

    def _values(self, header: list[str], record: list[str]) -> dict[str, float] | None:
        """The numbers of a good row; None for a bad one."""
        if len(record) != len(header) or any("\ufffd" in text for text in record):
            return None
        values = dict(zip(header, record, strict=True))
        numbers = {}
        for column in self.feed.columns:
            try:
                number = float(values[column.name])
            except ValueError:
                if values[column.name] == "" and column.nullable:
                    continue
                return None
            if not math.isfinite(number):
                return None
            low, high = column.min, column.max
            if (low is not None and number < low) or (high is not None and number > high):
                return None
            numbers[column.name] = number
        return numbers

    def _model(self, version: str) -> Any:
        if version not in self.models:
            with self.registry.active() as mlflow:
                self.models[version] = mlflow.pyfunc.load_model(f"models:/{self.feed.name}/{version}")
        return self.models[version]
