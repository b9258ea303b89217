"""Shadows of a routed feed: asked for what is committed, beside the stream, and compared."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs.operations.compare import compare
from jobs.streaming.early import EarlyScoring
from jobs.streaming.routed.score import RoutedScorer
from jobs.streaming.routed.shadows import ASKED, FAILED, PASSED_OVER, StreamShadows
from schemas.settings import Routing, load_settings
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.registry.registry import Registry
from streamscore.tables.commit import DeltaRsWriter, commit
from streamscore.tables.read_table import read_table
from streamscore.tables.tables import Tables
from tests.support.routed_kit import feed_of, text_of, write_feed
from tests.support.routed_run import Run
from tests.support.wait import until

pytestmark = pytest.mark.trains

FEED = feed_of()


class Streamed:
    """A stream of a routed feed without Spark, with its shadows."""

    def __init__(self, root: Path, registry: Registry, **routing: Any) -> None:
        (root / "checkpoint").mkdir()
        (root / "landing").mkdir()
        self.run, self.counts, self.seq = Run(root, registry), Counter[str](), 0
        self.run.put(alpha="1")
        self.settings = load_settings(flags={"streaming.mode": "driver", "tables.path": str(root / "tables")})
        self.tables = Tables(root / "tables", FEED, self.settings.tables, self.settings.storage)
        self._routing, self._early = Routing(**routing), EarlyScoring()

    def start(self, **routes: Any) -> None:
        self.run.routes(**routes)
        models = self.run.start()
        self.tables.create(pa.float64())

        def count(outcome: str, rows: int) -> None:
            self.counts[outcome] += rows

        self.shadows = StreamShadows(self.tables, models.loader, models.resolve, models.limits, self._routing, count)
        landing = (self.run.root / "landing").as_uri()
        self.scorer = RoutedScorer(
            self.settings.streaming,
            self.tables,
            app_id="app",
            landing=landing,
            models=models,
            early=self._early,
            shadows=self.shadows,
        )
        self.shadows.start()

    def batch(self, *rows: tuple[str, float, float]) -> None:
        """Land a file, score and commit it."""
        path = self.run.root / "landing" / f"{self.seq}.csv"
        path.write_bytes(text_of(rows))
        status = path.stat()
        file = LandedFile(path.as_uri(), status.st_size, status.st_mtime_ns)
        scored = self.scorer.score(None, self.seq, BatchManifest(self.seq + 1, (file,)))
        self.scorer.committed(commit(scored.parts, scored.batch, self.tables, DeltaRsWriter()))
        self.seq += 1

    def close(self) -> None:
        self.shadows.stop()
        self.run.close()
        self._early.close()


@pytest.fixture
def streamed(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Streamed]:
    write_feed(FEED, tmp_path)
    monkeypatch.chdir(tmp_path)
    with closing(Streamed(tmp_path, registry, shadow_rows=3)) as made:
        yield made


def test_a_shadow_is_asked_for_committed_rows_and_compared(streamed: Streamed) -> None:
    shadow = {"model": "models:/alpha/2"}
    streamed.start(keys={"ann": {"model": "alpha", "shadow": shadow}}, default="alpha")
    streamed.batch(("ann", 1.0, 0.5), ("bob", 2.0, 0.5), ("ann", 666.0, 0.5))
    streamed.batch(("bob", 3.0, 0.5), ("ann", 4.0, 0.5))
    until(lambda: streamed.counts[ASKED] == 2)
    rows = read_table(FEED, "shadows", settings=streamed.settings).sort_by("source_file").to_pylist()
    said = [(r["source_file"], r["source_line"], r["prediction"], r["candidate_prediction"]) for r in rows]
    assert said == [("0.csv", 2, 10.5, 20.5), ("1.csv", 3, 40.5, 80.5)]
    assert {(r["model_version"], r["candidate_version"]) for r in rows} == {("1", "2")}
    (found,) = compare("alpha", streamed.settings).shadows
    assert (found.version, found.candidate, found.rows, found.only_one, found.equal) == ("1", "2", 2, 0, 0.0)
    assert (found.mean_difference, found.largest) == (25.0, 40.0)


def test_a_candidate_that_cannot_be_asked_costs_the_stream_nothing(streamed: Streamed) -> None:
    streamed.start(default={"model": "alpha", "shadow": {"model": "models:/alpha/3"}})
    streamed.batch(("ann", 1.0, 0.5), ("bob", 2.0, 0.5))
    until(lambda: streamed.counts[FAILED] == 2)
    assert len(read_table(FEED, settings=streamed.settings)) == 2
    assert not streamed.tables.reopen().exists("shadows")


def test_of_a_large_micro_batch_some_rows_are_compared(streamed: Streamed) -> None:
    streamed.start(default={"model": "alpha", "shadow": {"model": "models:/alpha/2"}})
    streamed.batch(*((f"c{n}", float(n), 0.5) for n in range(10)))
    until(lambda: streamed.counts[ASKED] == 3)
    assert streamed.counts[PASSED_OVER] == 7


def test_a_stop_asks_for_what_waits(streamed: Streamed) -> None:
    streamed.start(default={"model": "alpha", "shadow": {"model": "models:/alpha/2"}})
    gate, ask = threading.Event(), streamed.shadows._compare

    def slow(some: Any) -> None:
        gate.wait(10)
        ask(some)

    streamed.shadows._compare = slow  # type: ignore[method-assign]
    for number in range(3):  # no commit waits for the shadow
        streamed.batch(("ann", float(number), 0.5))
    assert streamed.counts[ASKED] == 0 and len(read_table(FEED, settings=streamed.settings)) == 3
    gate.set()
    streamed.shadows.stop()
    assert streamed.counts[ASKED] == 3
