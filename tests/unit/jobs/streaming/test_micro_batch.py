"""A micro-batch committed ahead of Spark's call: from its offset on, once, and as the call would have done it."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from deltalake import DeltaTable

from jobs.streaming import early_commit
from jobs.streaming.checkpoint import open_checkpoint
from jobs.streaming.early import EarlyScoring
from jobs.streaming.early_commit import EarlyCommit
from jobs.streaming.micro_batch import MicroBatchProcessor, Outcome
from jobs.streaming.progress import BatchDone
from jobs.streaming.score_batch import BatchScorer
from schemas.errors import RegistryError, StorageError
from schemas.feed import load_feed
from schemas.settings import load_settings
from streamscore.landing.announce import Announcer
from streamscore.landing.archive import REFUSALS, Archive
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.models.watch import ModelWatcher
from streamscore.registry.registry import Registry
from streamscore.storage import retry
from streamscore.storage.folder import LocalFolder
from streamscore.tables.commit import DeltaRsWriter
from streamscore.tables.own_put_log import OwnPutLog
from streamscore.tables.tables import Tables
from tests.support.fixture_types import Trained
from tests.support.routed_kit import feed_of
from tests.support.wait import HANG_SECONDS, until
from tests.support.wine import HEADER, ROW

pytestmark = pytest.mark.trains

FEED = load_feed("wine_quality")
NO_FRAME: Any = None  # small micro-batches are read from their offset


class Started:
    """A stream's micro-batches after its first one, or before it; the test is what Spark is to them."""

    def __init__(self, root: Path, registry: Registry, first: int | None = None) -> None:
        settings = load_settings(flags={"streaming.mode": "driver"})
        self.landing, self.done = root / "landing", list[BatchDone]()
        self.landing.mkdir()
        folder = LocalFolder(root / "checkpoint")
        self._checkpoint = open_checkpoint(folder, FEED, self.landing.as_uri(), recover=False)
        self.offsets = root / "checkpoint" / "offsets"
        self.offsets.mkdir()
        self._follower = ModelWatcher(
            "models:/wine_quality@production", FEED, registry, folder, root / "scratch", lambda *_: None
        )
        tables = Tables(root / "tables", FEED, settings.tables, settings.storage)
        tables.create(self._follower.start(None, -1, 60.0).output)
        self._table = str(root / "tables" / "predictions")
        self.ahead = EarlyScoring()
        scorer = BatchScorer(
            settings.streaming,
            tables,
            app_id=self._checkpoint.app_id,
            landing=self.landing.as_uri(),
            watcher=self._follower,
            early=self.ahead,
        )
        writer = DeltaRsWriter()
        self.batches = batches = MicroBatchProcessor(
            self._checkpoint,
            tables,
            writer,
            scorer=scorer,
            archive=Archive(LocalFolder(self.landing), "off", folder.open_journal(REFUSALS), ()),
            report=self.done.append,
            first=first,
        )
        self.commit_early = EarlyCommit(batches, folder, writer, scorer)
        self.ahead.listen(lambda manifest: scorer.score_early(batches.next_id, manifest), self.commit_early)
        if first is not None:
            return
        self.write_offset(0, begun := self.manifest(1))
        self.batches(NO_FRAME, 0)
        assert self.batches.outcome[:2] == (0, begun)

    def close(self) -> None:
        self._follower.stop()
        self.ahead.close()
        self._checkpoint.release()

    def manifest(self, seq: int, rows: int = 3) -> BatchManifest:
        """One landed file."""
        path = self.landing / f"{seq}.csv"
        path.write_text(HEADER + ROW * rows)
        status = path.stat()
        return BatchManifest(
            seq, (LandedFile(path.as_uri(), status.st_size, status.st_mtime_ns, found=time.time_ns()),)
        )

    def announce(self, manifest: BatchManifest) -> None:
        Announcer(self.ahead.address).announce(manifest.to_offset())

    def write_offset(self, batch_id: int, manifest: BatchManifest) -> None:
        """As Spark does: whole, or not there."""
        new = self.offsets / f".{batch_id}.tmp"
        new.write_text(f"v1\n{{}}\n{json.dumps(manifest.to_offset())}")
        new.rename(self.offsets / str(batch_id))

    def rows(self) -> dict[int, int]:
        """Micro-batch → its predictions in the table."""
        frame = DeltaTable(self._table).to_pyarrow_table(columns=["batch_id"]).to_pandas()
        return frame.batch_id.value_counts().to_dict()

    def scored(self) -> bool:
        return self.ahead._scored is not None


@pytest.fixture(scope="module")
def registry(wine_registry: Callable[[], Trained]) -> Registry:
    return wine_registry().registry


@pytest.fixture
def started(tmp_path: Path, registry: Registry) -> Iterator[Started]:
    with closing(Started(tmp_path, registry)) as made:
        yield made


@pytest.mark.parametrize("passes", [True, False])
def test_a_commit_that_fails_is_tried_with_the_same_parts_and_leaves_none(
    started: Started, monkeypatch: pytest.MonkeyPatch, passes: bool
) -> None:
    started.write_offset(1, started.manifest(2))
    put, failures = OwnPutLog._put, iter([True] * (3 if passes else 1000))

    def failing(log: OwnPutLog, version: int, text: str) -> bool:
        if next(failures, False):
            msg = "the disk is full"
            raise StorageError(msg)
        return put(log, version, text)

    monkeypatch.setattr(OwnPutLog, "_put", failing)
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.001)
    if not passes:
        tables = started.batches._tables
        monkeypatch.setattr(tables, "storage", tables.storage.model_copy(update={"retry_seconds": 0.1}))
    with nullcontext() if passes else pytest.raises(StorageError, match="the disk is full"):
        started.batches(NO_FRAME, 1)
    assert started.rows() == ({0: 3, 1: 3} if passes else {0: 3})
    assert len(list(Path(started._table).glob("*.parquet"))) == len(started.rows())


def test_a_micro_batch_is_in_once_its_offset_is_there_and_the_call_finds_it_done(started: Started) -> None:
    manifest = started.manifest(2)
    started.announce(manifest)
    until(started.scored)
    time.sleep(0.05)
    assert started.rows() == {0: 3}  # no offset: it may yet become another micro-batch
    started.write_offset(1, manifest)
    until(lambda: len(started.done) == 2)
    assert started.rows() == {0: 3, 1: 3}
    started.batches(NO_FRAME, 1)
    assert started.rows() == {0: 3, 1: 3}
    assert [(done.batch_id, done.rows, done.where) for done in started.done] == [(0, 3, "driver"), (1, 3, "driver")]


@pytest.mark.parametrize("first", [0, 7])
def test_so_is_the_first_one_of_a_start(tmp_path: Path, registry: Registry, first: int) -> None:
    with closing(Started(tmp_path, registry, first)) as started:
        manifest = started.manifest(3)
        started.announce(manifest)
        until(started.scored)
        assert started.done == []
        started.write_offset(first, manifest)
        until(lambda: started.batches.outcome.manifest is not None)
        assert started.batches.outcome == Outcome(first, manifest)
        started.batches(NO_FRAME, first)
        assert started.rows() == {first: 3}
        assert len(started.done) == 1


def test_a_first_one_of_other_files_is_left_to_the_call(tmp_path: Path, registry: Registry) -> None:
    with closing(Started(tmp_path, registry, 0)) as started:
        announced, written = started.manifest(1), started.manifest(2, rows=5)
        started.announce(announced)
        until(started.scored)
        started.write_offset(0, written)
        time.sleep(0.1)
        assert started.done == []
        started.batches(NO_FRAME, 0)
        assert started.rows() == {0: 5}


def test_an_offset_with_other_files_is_left_to_the_call(started: Started) -> None:
    announced, written = started.manifest(2), started.manifest(3, rows=5)
    started.announce(announced)
    until(started.scored)
    started.write_offset(1, written)
    time.sleep(0.1)
    assert started.rows() == {0: 3}
    started.batches(NO_FRAME, 1)
    assert started.rows() == {0: 3, 1: 5}


def test_a_call_that_comes_first_does_it_and_what_was_ahead_leaves_it_alone(started: Started) -> None:
    manifest = started.manifest(2)
    with started.batches._running:  # as if the call was in it
        started.announce(manifest)
        until(started.scored)
        started.write_offset(1, manifest)
        time.sleep(0.1)
        assert started.rows() == {0: 3}
    started.batches(NO_FRAME, 1)
    time.sleep(0.1)
    assert started.rows() == {0: 3, 1: 3}
    assert len(started.done) == 2


def test_a_commit_ahead_that_fails_is_made_by_the_call(started: Started) -> None:
    manifest = started.manifest(2)
    started.announce(manifest)
    until(started.scored)
    log = Path(started._table) / "_delta_log"
    log.rename(log.with_name("gone"))
    started.write_offset(1, manifest)
    until(lambda: not started.scored())  # taken up
    time.sleep(0.1)
    log.with_name("gone").rename(log)
    assert len(started.done) == 1
    started.batches(NO_FRAME, 1)
    assert started.rows() == {0: 3, 1: 3}


def test_a_manifest_that_the_call_has_done_meanwhile_waits_for_no_other_offset(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early_commit, "OFFSET_SECONDS", 2 * HANG_SECONDS)
    done, later = started.manifest(2), started.manifest(3)
    started.write_offset(1, done)
    started.batches(NO_FRAME, 1)
    begun = time.monotonic()
    started.commit_early(done)
    assert time.monotonic() - begun < HANG_SECONDS
    started.announce(later)
    started.write_offset(2, later)
    until(lambda: len(started.done) == 3)
    assert started.rows() == {0: 3, 1: 3, 2: 3}


def test_a_stream_that_is_finished_begins_nothing_and_lets_spark_hear_of_what_is_in(started: Started) -> None:
    manifest, later = started.manifest(2), started.manifest(3)
    started.announce(manifest)
    started.write_offset(1, manifest)
    until(lambda: len(started.done) == 2)
    started.batches.finish()
    started.batches(NO_FRAME, 1)
    assert not started.batches.outcome.turned_away
    started.announce(later)
    started.write_offset(2, later)
    with pytest.raises(RuntimeError, match="micro-batch 2 is the next start's"):
        started.batches(NO_FRAME, 2)
    assert started.batches.outcome.turned_away
    assert started.rows() == {0: 3, 1: 3}


@pytest.mark.parametrize("is_routed", [True, False])
def test_a_routed_micro_batch_waits_for_a_model_that_is_away(monkeypatch: pytest.MonkeyPatch, is_routed: bool) -> None:
    """The one model of another feed is in memory."""
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.001)
    calls: list[int] = []

    class Away(MicroBatchProcessor):
        def _manifest(self, frame: Any, batch_id: int) -> BatchManifest:
            return BatchManifest(batch_id + 1)

        def _process(self, batch_id: int, manifest: BatchManifest, frame: Any, begun: float) -> None:
            calls.append(batch_id)
            if len(calls) < 3:
                msg = "no answer"
                raise RegistryError(msg)

    given: Any = SimpleNamespace(feed=feed_of() if is_routed else FEED, storage=load_settings().storage)
    nothing: Any = None
    batches = Away(nothing, given, nothing, scorer=nothing, archive=nothing, report=nothing)
    with nullcontext() if is_routed else pytest.raises(RegistryError):
        batches(NO_FRAME, 0)
    assert calls == ([0, 0, 0] if is_routed else [0])
