"""Beside the stream: commit metadata folded once, events written, logs checkpointed; nothing of it stops the stream."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from schemas.tables import BATCHES_SCHEMA, EVENTS_SCHEMA
from streamscore.storage.folder import LocalFolder
from streamscore.tables import housekeeping
from streamscore.tables.commit import commit, committed
from streamscore.tables.housekeeping import Housekeeping, append_batch_rows, append_events, checkpoint_logs
from streamscore.tables.tables import Tables
from streamscore.tables.writers import writer_of
from tests.support.tables_kit import a_batch, entries, open_tables, parts_of, rows_of
from tests.support.wait import until


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return open_tables(tmp_path, every=5)


def put(tables: Tables, *batches: Any, rejects: int = 0) -> None:
    for batch in batches:
        commit(parts_of(tables, batch, 3, rejects), batch, tables, writer_of(tables))


def folded(tables: Tables) -> list[Any]:
    return sorted(rows_of(tables, "batches")["batch_id"].to_pylist())


def test_a_commit_becomes_one_row_of_batches(tables: Tables) -> None:
    batch = a_batch(0, "a.csv", "b.csv")
    put(tables, batch, rejects=1)
    assert append_batch_rows(tables) == 1
    table = rows_of(tables, "batches")
    assert table.schema.equals(BATCHES_SCHEMA)
    row = table.to_pylist()[0]
    assert abs((row.pop("committed_at") - datetime.now(UTC)).total_seconds()) < 60
    assert row == {
        "app_id": "app",
        "batch_id": 0,
        "digest": batch.manifest.digest,
        "files": [
            {"path": f"file:///in/{name}", "size": 100, "modified": 1000, "etag": "", "predictions": 3, "rejects": 1}
            for name in ("a.csv", "b.csv")
        ],
        "predictions": 6,
        "rejects": 2,
        "model_name": "wine",
        "model_version": "3",
        "found_at": datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        "table_version": 1,
    }


def test_folding_again_adds_only_what_is_new(tables: Tables) -> None:
    put(tables, a_batch(0), a_batch(1))
    assert (append_batch_rows(tables), append_batch_rows(tables)) == (2, 0)
    put(tables, a_batch(2))
    assert (append_batch_rows(tables.reopen()), append_batch_rows(tables)) == (1, 0)
    assert folded(tables) == [0, 1, 2] and entries(tables, "batches") == 2


def test_two_who_fold_at_once_double_nothing(tables: Tables) -> None:
    put(tables, *(a_batch(number) for number in range(5)))
    tables.batches  # noqa: B018 - made before the race
    barrier = threading.Barrier(4)

    def run() -> None:
        mine = tables.reopen()
        barrier.wait()
        append_batch_rows(mine)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert folded(tables) == [0, 1, 2, 3, 4]


def test_commits_of_others_are_not_folded(tables: Tables) -> None:
    put(tables, a_batch(0), a_batch(1))
    tables.predictions.handle().optimize.compact()
    put(tables, a_batch(2))
    assert append_batch_rows(tables) == 3
    assert [row["table_version"] for row in rows_of(tables, "batches").to_pylist()] == [1, 2, 4]


def test_a_log_cleaned_after_folding_loses_nothing(tables: Tables) -> None:
    put(tables, a_batch(0), a_batch(1))
    append_batch_rows(tables)
    put(tables, a_batch(2))
    tables.predictions.handle().create_checkpoint()
    for version in range(3):
        Path(tables.uri("predictions"), f"_delta_log/{version:020}.json").unlink()
    assert append_batch_rows(tables.reopen()) == 1
    assert folded(tables) == [0, 1, 2]


def test_events_have_a_time_and_what_else_they_have(tables: Tables) -> None:
    append_events(tables, [{"kind": "swapped", "model_version": "4"}, {"kind": "stopped", "detail": "SIGTERM"}])
    append_events(tables, [])
    table = rows_of(tables, "events")
    assert table.schema.equals(EVENTS_SCHEMA) and table["at"].null_count == 0
    assert table["kind"].to_pylist() == ["swapped", "stopped"] and entries(tables, "events") == 1


def test_logs_are_checkpointed_every_so_many_commits(tables: Tables) -> None:
    put(tables, *(a_batch(number) for number in range(4)))
    checkpoint_logs(tables)
    assert tables.predictions.last_checkpoint() == -1
    put(tables, a_batch(4))
    checkpoint_logs(tables)
    assert tables.predictions.last_checkpoint() == 5 and tables.quarantine.last_checkpoint() == -1
    put(tables, a_batch(5))
    checkpoint_logs(tables)
    assert tables.predictions.last_checkpoint() == 5
    assert committed(5, "app", a_batch(5).manifest.digest, tables)


@pytest.mark.parametrize("left", [b"", None])
def test_a_log_checkpoint_of_which_a_power_cut_left_only_the_hint_is_forgotten(
    tables: Tables, left: bytes | None
) -> None:
    put(tables, *map(a_batch, range(3)))
    tables.predictions.write_checkpoint()
    put(tables, *map(a_batch, range(3, 6)))
    tables.predictions.write_checkpoint()
    put(tables, a_batch(6))
    log = Path(tables.uri("predictions"), "_delta_log")
    newest = max(log.glob("*.checkpoint.parquet"))
    newest.unlink() if left is None else newest.write_bytes(left)
    again = tables.reopen()
    assert rows_of(again, "predictions").num_rows == 7 * 3 and again.predictions.last_checkpoint() == -1
    again.predictions.write_checkpoint()
    assert rows_of(tables.reopen(), "predictions").num_rows == 7 * 3


def test_a_log_checkpoint_is_synced_when_it_is_written(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(LocalFolder, "sync", lambda folder: synced.append(Path(folder.uri).name))
    put(tables, *map(a_batch, range(5)))
    checkpoint_logs(tables)
    assert synced == ["predictions"]


def test_housekeeping_folds_and_writes_events_while_the_stream_runs_and_when_it_stops(tables: Tables) -> None:
    keeping = Housekeeping(tables, "app", seconds=0.05)
    keeping.start()
    assert tables.reopen().app_ids == ["app"]
    put(tables, a_batch(0))
    keeping.committed()
    until(lambda: tables.exists("batches") and folded(tables) == [0])
    put(tables, a_batch(1))
    keeping.committed()
    keeping.event("swapped", "wine", "4", "promoted")
    keeping.stop()
    assert folded(tables) == [0, 1]
    row = rows_of(tables, "events").to_pylist()[0]
    assert (row["kind"], row["app_id"], row["model_version"], row["detail"]) == ("swapped", "app", "4", "promoted")


def test_many_commits_start_housekeeping_before_its_time(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "PENDING", 3)
    keeping = Housekeeping(tables, "app", seconds=600)
    keeping.start()
    for number in range(3):
        put(tables, a_batch(number))
        keeping.committed()
    until(lambda: tables.exists("batches") and folded(tables) == [0, 1, 2])
    keeping.stop()


def test_housekeeping_logs_what_fails_and_tries_again(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    real = housekeeping.append_events
    failures = iter([True, True])

    def failing(tables: Tables, rows: Sequence[dict[str, Any]]) -> None:
        if len(rows) and next(failures, False):
            msg = "the disk is full"
            raise OSError(msg)
        real(tables, rows)

    monkeypatch.setattr(housekeeping, "append_events", failing)
    with structlog.testing.capture_logs() as logs:
        keeping = Housekeeping(tables, "app", seconds=0.05)
        keeping.start()
        keeping.event("swapped")
        until(lambda: tables.exists("events"))
        keeping.stop()
    assert [(log["log_level"], log["step"]) for log in logs] == [("warning", "write_events")] * 2
    assert rows_of(tables, "events").num_rows == 1


def test_housekeeping_that_was_never_started_stops(tables: Tables) -> None:
    Housekeeping(tables, "app").stop()
