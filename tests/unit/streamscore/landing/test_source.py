"""The source as Spark asks it: an idle poll costs no more after a batch of many files."""

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql.streaming.datasource import ReadMaxFiles

from streamscore.landing import find
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.landing.source import LandingReader
from streamscore.storage.folder import LocalFolder
from streamscore.storage.stream_paths import StreamPaths
from tests.support.finder_kit import write_offset

MANY = 100_000


@pytest.fixture
def reader(tmp_path: Path) -> LandingReader:
    landing, checkpoint = tmp_path / "landing", tmp_path / "checkpoint"
    landing.mkdir()
    checkpoint.mkdir()
    paths = StreamPaths(LocalFolder(landing), str(tmp_path / "tables"), LocalFolder(checkpoint), checkpoint)
    options = {"paths": paths.to_json(), "maxfiles": str(MANY), "maxbytes": str(2**40), "clean": "off"}
    times = {"fulllookseconds": "60", "listseconds": "0.05", "retryseconds": "1"}
    return LandingReader(options | times | {"ahead": str(tmp_path / "nobody")})


def test_an_idle_poll_after_a_batch_of_many_files_reads_none_of_them(
    reader: LandingReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading and writing a manifest of 1,000 files ten times a second took 15.5 % of a core."""
    files = [LandedFile(f"file:///in/{n}.csv", 1, n) for n in range(MANY)]
    monkeypatch.setattr(reader._finder._watcher, "look", lambda: files)
    waits = list[float]()

    def poll(seconds: float) -> list[LandedFile]:
        waits.append(seconds)
        return []

    monkeypatch.setattr(reader._finder._watcher, "poll", poll)
    offset: dict[str, Any] = reader.latestOffset(reader.initialOffset(), ReadMaxFiles(MANY))
    assert len(offset["files"]) == MANY
    (tmp_path / "checkpoint" / "offsets").mkdir()
    (tmp_path / "checkpoint" / "offsets" / "0").write_text(f"v1\n{{}}\n{json.dumps(offset)}")
    assert reader.latestOffset(offset, ReadMaxFiles(MANY)) is offset

    def no_work(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(LandedFile, "__init__", no_work)
    monkeypatch.setattr(LandedFile, "to_json", no_work)
    assert reader.latestOffset(offset, ReadMaxFiles(MANY)) is offset
    assert waits[-1] == find.MOST_WAIT_SECONDS


def test_a_manifest_is_parsed_where_it_is_of_an_earlier_process(reader: LandingReader, tmp_path: Path) -> None:
    (tmp_path / "landing" / "b.csv").write_text("x")
    (tmp_path / "checkpoint" / "ledger.jsonl").write_text('{"seq":0,"files":[]}\n')
    first = BatchManifest(1, (LandedFile("file:///in/a.csv", 1, 1),))
    write_offset(LocalFolder(tmp_path / "checkpoint"), first)
    second = reader.latestOffset(first.to_offset(), ReadMaxFiles(10))
    assert (second["seq"], [Path(f["path"]).name for f in second["files"]]) == (2, ["b.csv"])
