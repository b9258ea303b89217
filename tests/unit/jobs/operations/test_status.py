import io
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from rich.console import Console

from jobs.operations.show_status import show_status
from jobs.operations.status import read_status
from schemas.errors import StorageError
from schemas.feed import load_feed
from schemas.settings import Settings
from schemas.tables import BATCHES_SCHEMA, EVENTS_SCHEMA, QUARANTINE_SCHEMA, predictions_schema
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.landing.troubles import NOT_CLEANED_UP, PASSED_OVER, Troubles
from streamscore.registry.model_version import ModelVersion
from streamscore.storage.folder import LocalFolder
from streamscore.tables.batch import Batch, BatchRecord, Counts
from streamscore.tables.owner import OWNER, Owner

FEED = load_feed("wine_quality")
PREDICTIONS_SCHEMA = predictions_schema(FEED, pa.float64())
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def stream(tmp_path: Path) -> "Stream":
    return Stream(tmp_path)


class Stream:
    """A stream's folders, written by hand."""

    def __init__(self, folder: Path) -> None:
        self.landing, self.tables, self.checkpoint = folder / "in é", folder / "tables", folder / "checkpoint"
        self.landing.mkdir()
        self.settings = Settings(
            landing=str(self.landing), tables={"path": str(self.tables)}, checkpoint=str(self.checkpoint)
        )

    def status(self) -> Any:
        return read_status(FEED, self.settings)

    def shown(self, as_json: bool = False) -> str:
        console: Any = Console(file=io.StringIO(), width=200)
        show_status(self.status(), console, as_json)
        return console.file.getvalue()

    def land(self, name: str) -> LandedFile:
        path = self.landing / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a\n1\n")
        return LandedFile(path.as_uri(), path.stat().st_size, path.stat().st_mtime_ns, found=1)

    def ledger(self, *files: Any, seq: int = 1) -> None:
        self.checkpoint.mkdir(exist_ok=True)
        with (self.checkpoint / "ledger.jsonl").open("a") as ledger:
            ledger.write(json.dumps(BatchManifest(seq, files).to_offset()) + "\n")

    def predict(
        self, batch_id: int, files: Sequence[Any] = (), rows: int = 3, rejects: int = 0, version: str = "1"
    ) -> None:
        batch = Batch(
            "app", batch_id, BatchManifest(batch_id + 1, tuple(files)), ModelVersion("wine_quality", version, "run")
        )
        counts = {file.path: Counts(rows, rejects) for file in files}
        write_deltalake(
            self.tables / "predictions",
            rows_of(PREDICTIONS_SCHEMA, [{"batch_id": batch_id}] * rows),
            mode="append",
            commit_properties=CommitProperties(
                {"userMetadata": BatchRecord.of(batch, counts).to_json()},
                app_transactions=[Transaction("app", batch_id)],
            ),
        )

    def write(self, table: str, schema: pa.Schema, *rows: Any) -> None:
        write_deltalake(self.tables / table, rows_of(schema, rows), mode="append")


def rows_of(schema: pa.Schema, rows: Any) -> Any:
    return pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema=schema)


def folded(batch_id: int, table_version: Any, **more: Any) -> Any:
    return {
        "app_id": "app",
        "batch_id": batch_id,
        "predictions": 3,
        "rejects": 1,
        "files": [],
        "model_name": "wine_quality",
        "model_version": "1",
        "found_at": NOON,
        "committed_at": NOON + timedelta(milliseconds=40),
        "table_version": table_version,
    } | more


def test_a_stream_that_never_ran_says_so_and_names_the_next_command(stream: Stream) -> None:
    stream.land("a.csv")
    assert "nothing streamed yet" in stream.shown()
    assert "1 files wait" in stream.shown()
    assert "next: streamscore run wine_quality" in stream.shown()


def test_what_is_wrong_in_the_landing_folder_is_counted_by_kind(stream: Stream) -> None:
    stream.checkpoint.mkdir()
    troubles = Troubles(LocalFolder(stream.checkpoint))
    for name in ("a.csv", "b.csv"):
        troubles.note(PASSED_OVER, name, "found a FIFO, wanted a file")
    troubles.note(NOT_CLEANED_UP, "c.csv", "it stays where it is")
    troubles.keep()
    assert stream.status().landing_troubles == {"passed_over": 2, "not_cleaned_up": 1}
    assert "a.csv: found a FIFO, wanted a file" in stream.shown()
    stream.predict(0)
    assert re.search(r"passed over +2 in the landing folder *\nnot cleaned up +1 in", stream.shown())
    assert json.loads(stream.shown(as_json=True))["landing_troubles"]["passed_over"] == 2


def test_a_feed_without_any_folder_has_an_empty_status(stream: Stream) -> None:
    stream.landing.rmdir()
    status = stream.status()
    assert (status.files_waiting, status.rows, status.reject_ratio, status.last_batch_id) == (None, 0, None, None)


def test_commits_that_are_not_folded_yet_count(stream: Stream) -> None:
    stream.predict(0, [stream.land("a.csv")], rows=3, rejects=2)
    stream.predict(1, [stream.land("b.csv")], rows=5, version="2")
    status = stream.status()
    assert (status.last_batch_id, status.batches, status.rows, status.rejects) == (1, 2, 8, 2)
    assert (status.model_name, status.model_version) == ("wine_quality", "2")
    assert status.reject_ratio == pytest.approx(0.2)
    assert status.last_batch_seconds_ago < 60


def test_commits_that_are_folded_count_once(stream: Stream) -> None:
    for batch_id in range(3):
        stream.predict(batch_id, [stream.land(f"{batch_id}.csv")], rows=3, rejects=1)
    stream.write("batches", BATCHES_SCHEMA, folded(0, 0), folded(1, 1))
    status = stream.status()
    assert (status.last_batch_id, status.batches, status.rows, status.rejects) == (2, 3, 9, 3)


def test_batches_outlive_the_log_of_predictions(stream: Stream) -> None:
    stream.write("batches", BATCHES_SCHEMA, folded(0, 0), folded(1, 1))
    status = stream.status()
    assert (status.last_batch_id, status.batches, status.rejects) == (1, 2, 2)
    assert status.last_batch_committed_at == NOON + timedelta(milliseconds=40)


def test_after_a_recovery_the_last_batch_is_the_newest_not_the_one_of_the_highest_id(stream: Stream) -> None:
    stream.write("batches", BATCHES_SCHEMA, folded(70, 70), folded(0, 71, app_id="new", model_version="2"))
    assert (stream.status().last_batch_id, stream.status().model_version) == (0, "2")


def test_latency_is_of_the_last_thousand_batches(stream: Stream) -> None:
    slow = [folded(i, i, committed_at=NOON + timedelta(hours=1)) for i in range(5)]
    fast = [folded(i, i, committed_at=NOON + timedelta(milliseconds=30)) for i in range(5, 1005)]
    fast[-1]["committed_at"] = NOON + timedelta(milliseconds=900)
    stream.write("batches", BATCHES_SCHEMA, *slow, *fast)
    status = stream.status()
    assert (status.landed_to_committed_p50_ms, status.landed_to_committed_p99_ms) == (30, 30)
    assert status.measured_batches == 1000


def test_files_wait_until_their_batch_is_committed(stream: Stream) -> None:
    done = stream.land("done.csv")
    stream.ledger(done)
    stream.predict(0, [stream.land("in the newest batch %.csv")])
    stream.land("waits é.csv")
    stream.land("sub/waits.CSV.GZ")
    for other in (".hidden.csv", "_archive/old.csv", "notes.txt", "sub/.hidden.csv"):
        stream.land(other)
    assert stream.status().files_waiting == 2


def test_a_known_file_with_other_content_waits(stream: Stream) -> None:
    file = stream.land("a.csv")
    stream.ledger(file)
    assert stream.status().files_waiting == 0
    (stream.landing / "a.csv").write_text("a\n1\n2\n")
    assert stream.status().files_waiting == 1


def test_files_of_the_newest_batch_do_not_wait_once_it_is_folded(stream: Stream) -> None:
    file = stream.land("a.csv")
    entry = {"path": file.path, "size": file.size, "modified": file.modified, "etag": ""}
    stream.write("batches", BATCHES_SCHEMA, folded(0, 0, files=[entry | {"predictions": 1, "rejects": 0}]))
    assert stream.status().files_waiting == 0


def test_a_ledger_whose_last_line_is_torn_is_read(stream: Stream) -> None:
    stream.ledger(stream.land("a.csv"))
    with (stream.checkpoint / "ledger.jsonl").open("a") as ledger:
        ledger.write('{"seq":2,"fil')
    assert stream.status().files_waiting == 0


def test_rejects_are_told_by_reason_the_most_frequent_first(stream: Stream) -> None:
    rows = [{"reason": "bad_type", "rows": 1}] * 2 + [{"reason": "out_of_range", "rows": 1, "replayed_as": "r.csv"}] * 3
    stream.write("quarantine", QUARANTINE_SCHEMA, *rows)
    stream.write("quarantine", QUARANTINE_SCHEMA, {"reason": "missing_column", "rows": 40})
    status = stream.status()
    assert list(status.rejects_by_reason.items()) == [("out_of_range", 3), ("bad_type", 2), ("missing_column", 1)]
    assert (status.rejects, status.rejects_replayed) == (6, 3)


def test_of_very_many_parts_of_quarantine_the_newest_are_read(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.operations.status.REASON_PARTS", 2)
    for minute, reason in enumerate(["unreadable", "bad_type", "not_finite"]):
        at = NOON + timedelta(minutes=minute)
        stream.write("quarantine", QUARANTINE_SCHEMA, {"reason": reason, "rows": 1, "quarantined_at": at})
    assert stream.status().rejects_by_reason == {"bad_type": 1, "not_finite": 1}
    assert stream.status().rejects == 3


def test_the_last_swap_or_refusal_is_told_with_when_and_why(stream: Stream) -> None:
    stream.predict(0, rows=1)
    event = {"model_name": "wine_quality", "app_id": "app"}
    refused = event | {"at": NOON, "kind": "refused", "model_version": "2", "detail": "wants [pH] as int\nmore"}
    stopped = event | {"at": NOON + timedelta(hours=1), "kind": "stopped"}
    swapped = event | {"at": NOON - timedelta(hours=1), "kind": "swapped", "model_version": "1"}
    stream.write("events", EVENTS_SCHEMA, swapped, refused, stopped)
    assert stream.status().last_model_change.kind == "refused"
    assert "v2 refused at 2026-05-01 12:00:00 UTC: wants [pH] as int\n" in stream.shown().replace(" \n", "\n")


def test_the_owner_of_the_tables_is_told(stream: Stream) -> None:
    stream.predict(0, [stream.land("a.csv")])
    assert stream.status().owner is None and "owned by" not in stream.shown()
    owner = Owner(3, "app-1", "run-1", "process 7 on box", "2026-05-01 12:00:00 UTC")
    table = DeltaTable(stream.tables / "predictions")
    table.alter.set_table_properties({OWNER: owner.to_property()}, raise_if_not_exists=False)
    said = "checkpoint app-1 (process 7 on box since 2026-05-01 12:00:00 UTC)"
    assert stream.status().owner == said
    assert f"tables owned by      {said}" in stream.shown()


def test_json_has_stable_keys(stream: Stream) -> None:
    stream.predict(0, [stream.land("a.csv")])
    stream.write("events", EVENTS_SCHEMA, {"at": NOON, "kind": "swapped", "model_version": "2"})
    shown = json.loads(stream.shown(as_json=True))
    assert (
        list(shown)
        == (
            "feed landing tables last_batch_id last_batch_committed_at last_batch_seconds_ago files_waiting batches "
            "rows rejects reject_ratio rejects_by_reason rejects_replayed landing_troubles "
            "first_landing_trouble model_name model_version routed_by last_model_change "
            "landed_to_committed_p50_ms landed_to_committed_p99_ms measured_batches owner"
        ).split()
    )
    assert shown["last_model_change"]["at"] == "2026-05-01T12:00:00+00:00"
    assert datetime.fromisoformat(shown["last_batch_committed_at"]).tzinfo


def test_a_damaged_table_is_a_storage_error_that_names_the_next_command(stream: Stream) -> None:
    stream.predict(0)
    (stream.tables / "predictions" / "_delta_log" / f"{0:020}.json").write_text("{")
    with pytest.raises(StorageError, match=r"is torn.*streamscore run FEED --recover"):
        stream.status()


def test_status_imports_nothing_that_takes_long(stream: Stream) -> None:
    stream.predict(0, [stream.land("a.csv")])
    stream.write("batches", BATCHES_SCHEMA, folded(0, 0))
    stream.write("quarantine", QUARANTINE_SCHEMA, {"reason": "bad_type", "rows": 1, "quarantined_at": NOON})
    stream.write("events", EVENTS_SCHEMA, {"at": NOON, "kind": "swapped", "model_version": "2"})
    arguments = [
        "--landing",
        str(stream.landing),
        "--tables",
        str(stream.tables),
        "--checkpoint",
        str(stream.checkpoint),
    ]
    code = (
        "import sys; from typer.testing import CliRunner; from jobs.cli import app\n"
        f"done = CliRunner().invoke(app, ['status', 'wine_quality', *{arguments!r}])\n"
        "assert done.exit_code == 0 and 'rows predicted' in done.output, done.output\n"
        "assert not {'pyspark', 'mlflow', 'pandas', 'pyarrow.dataset'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
