"""Scoring ahead: taken up for the very micro-batch it was made for, otherwise gone without a trace."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.streaming import early
from jobs.streaming.early import EarlyScoring
from schemas.settings import Storage
from streamscore.landing.announce import Announcer
from streamscore.landing.manifest import BatchManifest
from streamscore.registry.model_version import ModelVersion
from streamscore.tables.batch import Batch, ScoringTask
from streamscore.tables.parts import Parts
from streamscore.tables.tables import Tables
from tests.support.tables_kit import FEED, a_batch, open_tables, parts_of
from tests.support.wait import until


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return open_tables(tmp_path / "tables")


@pytest.fixture
def ahead() -> Iterator[EarlyScoring]:
    made = EarlyScoring()
    yield made
    made.close()


def a_work(tables: Tables, batch: Batch) -> ScoringTask:
    return ScoringTask(FEED, batch, tables.folders, "file:///in", 100, Storage())


def listen(ahead: EarlyScoring, tables: Tables, batch: Batch) -> list[BatchManifest]:
    """Score each announced manifest as `batch`; what was announced."""
    heard: list[BatchManifest] = []

    def score(manifest: BatchManifest) -> tuple[ScoringTask, Parts]:
        heard.append(manifest)
        return a_work(tables, batch), parts_of(tables, batch, rows=3, rejects=1)

    ahead.listen(score, lambda _: None)
    return heard


def files(tables: Tables) -> list[str]:
    return [path.name for folder in tables.folders for path in Path(folder).glob("part-*")]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, with a name of more than 100 characters."""
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_long_name_of_the_temporary_folder_keeps_nobody_from_scoring_ahead(temporary: Path, tables: Tables) -> None:
    ahead = EarlyScoring()
    heard = listen(ahead, tables, batch := a_batch(1, "a.csv"))
    Announcer(ahead.address).announce(batch.manifest.to_offset())
    until(lambda: bool(heard))
    ahead.close()
    assert list(temporary.iterdir()) == []


def test_without_a_socket_nothing_is_scored_ahead_and_nothing_fails(
    temporary: Path, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early, "SHORT", ["/nowhere"])
    ahead = EarlyScoring()
    batch = a_batch(1, "a.csv")
    assert (ahead.address, listen(ahead, tables, batch)) == ("", [])
    Announcer(ahead.address).announce(batch.manifest.to_offset())
    assert ahead.take(a_work(tables, batch)) is None
    ahead.close()


def test_the_micro_batch_that_was_scored_ahead_takes_it_up_once(ahead: EarlyScoring, tables: Tables) -> None:
    batch = a_batch(4, "a.csv")
    heard = listen(ahead, tables, batch)
    Announcer(ahead.address).announce(batch.manifest.to_offset())
    until(lambda: bool(heard))
    parts = ahead.take(a_work(tables, batch))
    assert parts and sum(part.rows for part in parts.predictions) == 3
    assert sorted(files(tables)) == sorted(part.path for part in parts.predictions + parts.rejects)
    assert ahead.take(a_work(tables, batch)) is None


@pytest.mark.parametrize(
    "change", [{"batch_id": 5}, {"model": ModelVersion("wine", "9", "run-3")}, {"app_id": "another"}]
)
def test_another_micro_batch_drops_it_with_its_files(
    ahead: EarlyScoring, tables: Tables, change: dict[str, Any]
) -> None:
    batch = a_batch(4, "a.csv")
    heard = listen(ahead, tables, batch)
    Announcer(ahead.address).announce(batch.manifest.to_offset())
    until(lambda: bool(heard))
    assert ahead.take(a_work(tables, replace(batch, **change))) is None
    assert files(tables) == []


def test_a_manifest_that_was_scored_in_its_time_is_not_scored_again(ahead: EarlyScoring, tables: Tables) -> None:
    batch = a_batch(4, "a.csv")
    assert ahead.take(a_work(tables, batch)) is None
    heard = listen(ahead, tables, batch)
    later = BatchManifest(batch.manifest.seq + 1, batch.manifest.files)
    for manifest in (batch.manifest, later, later):
        Announcer(ahead.address).announce(manifest.to_offset())
    until(lambda: bool(heard))
    time.sleep(0.05)
    assert heard == [later]


def test_what_cannot_be_scored_ahead_is_left_to_the_micro_batch(ahead: EarlyScoring, tables: Tables) -> None:
    asked: list[int] = []

    def score(manifest: BatchManifest) -> None:
        asked.append(manifest.seq)
        if manifest.seq == 1:
            msg = "no space left on device"
            raise OSError(msg)

    ahead.listen(score, lambda _: None)
    for seq in (1, 2):
        Announcer(ahead.address).announce(BatchManifest(seq).to_offset())
    until(lambda: asked == [1, 2])
    assert ahead.take(a_work(tables, a_batch(2, "a.csv"))) is None


def test_an_end_deletes_what_was_not_taken_up(tables: Tables) -> None:
    ahead, batch = EarlyScoring(), a_batch(4, "a.csv")
    heard = listen(ahead, tables, batch)
    Announcer(ahead.address).announce(batch.manifest.to_offset())
    until(lambda: bool(heard))
    ahead.close()
    assert files(tables) == []
    Announcer(ahead.address).announce(batch.manifest.to_offset())  # nobody is there


def test_a_manifest_too_long_for_a_message_is_not_announced(ahead: EarlyScoring, tables: Tables) -> None:
    batch = a_batch(4, "a.csv")
    heard = listen(ahead, tables, batch)
    announcer = Announcer(ahead.address)
    announcer.announce(BatchManifest(7, batch.manifest.files * 10_000).to_offset())
    announcer.announce(batch.manifest.to_offset())
    until(lambda: bool(heard))
    assert heard == [batch.manifest]
