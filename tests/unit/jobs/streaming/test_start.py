"""What a start does before Spark plans: after `--recover`, what is done and what is new."""

import json
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import structlog

from jobs.streaming import start
from jobs.streaming.prepare import open_run, prepare
from schemas.settings import load_settings
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.tables.batch import Batch
from streamscore.tables.commit import commit
from streamscore.tables.writers import writer_of
from tests.support.tables_kit import FEED, a_batch, parts_of


def archived(landing: Path, place: str) -> LandedFile:
    """A file of the archive, as it was when it landed."""
    path = landing / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a\n1\n")
    landed = landing / place.partition("/")[2]
    return LandedFile(landed.as_uri(), path.stat().st_size, path.stat().st_mtime_ns)


def test_recover_scores_what_was_cleaned_up_and_is_of_no_commit_and_says_so(tmp_path: Path) -> None:
    places = {"landing": "landing", "tables.path": "tables", "checkpoint": "checkpoint"}
    settings = load_settings(flags={flag: str(tmp_path / place) for flag, place in places.items()})
    (tmp_path / "landing").mkdir()
    run = open_run(FEED, settings)
    run.tables.create(pa.float64())
    done = archived(tmp_path / "landing", "_archive/done.csv")
    archived(tmp_path / "landing", "_archive/lost.csv")
    archived(tmp_path / "landing", "_refused/bad.csv")
    batch = Batch("old-app", 0, BatchManifest(1, (done,)), a_batch(0).model)
    commit(parts_of(run.tables, batch), batch, run.tables, writer_of(run.tables))
    with ExitStack() as undo, structlog.testing.capture_logs() as said:
        prepared = prepare(run, undo, recover=True)
        start._fill_ledger(prepared)
    (line,) = (tmp_path / "checkpoint" / "ledger.jsonl").read_text().splitlines()
    assert [file["path"] for file in json.loads(line)["files"]] == [done.path]
    assert sorted(path.name for path in (tmp_path / "landing").glob("*.csv")) == ["bad.csv", "lost.csv"]
    assert (tmp_path / "landing" / "_archive" / "done.csv").exists()
    (taken,) = [line for line in said if line["event"] == "taken_up"]
    assert taken["detail"].startswith("2 files (bad.csv, lost.csv) that no commit names landed again")
