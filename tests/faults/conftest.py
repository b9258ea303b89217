"""What the faults did, as one table at the end of the run."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schemas.feed import Feed
from schemas.settings import Storage
from tests.support.fault_report import Report
from tests.support.fixture_types import Bucket
from tests.support.oracle import Oracle, Stream

REPORT = pytest.StashKey[Report]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REPORT] = Report()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: of two workers, none is left alone with it at the end."""
    items.sort(key=lambda item: not item.path.match("faults/*kills.py"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash[REPORT].tallies:
        terminalreporter.section("faults")
        for line in config.stash[REPORT].lines():
            terminalreporter.write_line(line)


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """The table that is printed at the end of the run."""
    return request.config.stash[REPORT]


@pytest.fixture
def recovers(report: Report, oracle: Oracle) -> Callable[..., None]:
    """Wait until every landed row is in, measured from the call, and note what the fault did."""

    def wait(fault: str, stream: Stream, seconds: float = 120.0) -> None:
        begun = time.monotonic()
        stream.until(lambda: oracle.tally(stream).lost == 0, seconds)
        report.add(fault, oracle.tally(stream), time.monotonic() - begun)

    return wait


class Reader(threading.Thread):
    """Reads predictions all the time, as somebody else would: never a row twice, never half a micro-batch."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(daemon=True)
        self._stream, self._stop_asked = stream, threading.Event()
        self.seen: dict[int, int] = {}
        self.wrong: list[str] = []
        self.reads = 0

    def run(self) -> None:
        while not self._stop_asked.wait(0.2):
            try:
                rows = self._stream.table("predictions")
            except Exception:  # the store is down: then nobody reads
                continue
            if not len(rows):
                continue
            self.reads += 1
            if rows.duplicated(["source_file", "source_line"]).any():
                self.wrong.append("a row twice")
            for batch, count in rows.groupby("batch_id").size().items():
                if self.seen.setdefault(batch, count) != count:
                    self.wrong.append(f"micro-batch {batch} had {self.seen[batch]} rows, now {count}")

    def finish(self) -> None:
        self._stop_asked.set()
        self.join()
        assert self.wrong == [] and self.reads > 0


@pytest.fixture
def reader(stream: Stream) -> Iterator[Callable[[Stream], Reader]]:
    """Starts a reader; what it saw is judged at the end of the test."""
    started: list[Reader] = []

    def start(of: Stream) -> Reader:
        started.append(Reader(of))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.finish()


@pytest.fixture
def in_bucket(tmp_path: Path, feed: Feed, bucket: Bucket, storage: Storage) -> Iterator[Callable[..., Stream]]:
    """Makes streams whose landing folder and tables, or more, are in a bucket."""
    made: list[Stream] = []

    def make(registry_uri: str, *more: str, name: str = "s3") -> Stream:
        root = tmp_path / name
        root.mkdir()
        places = {place: f"{bucket.uri}/{name}/{place}" for place in ("landing", "tables", *more)}
        made.append(Stream(root, feed, registry_uri, places=places, storage=storage))
        return made[-1]

    yield make
    for stream in made:
        stream.kill()
