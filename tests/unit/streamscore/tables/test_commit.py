"""The commits of a micro-batch without Spark: once, whatever crashes and whoever races."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from schemas.errors import ConflictError, ContractError, StorageError
from schemas.feed import Feed
from schemas.settings import Tables as TablesSettings
from streamscore.tables.batch import Batch
from streamscore.tables.commit import commit, committed
from streamscore.tables.delta_log import DeltaLog
from streamscore.tables.deltalake_log import DeltalakeLog
from streamscore.tables.housekeeping import append_batch_rows
from streamscore.tables.tables import Tables
from streamscore.tables.writers import writer_of
from tests.support.crash import Crash, crash_at
from tests.support.tables_kit import FEED, a_batch, entries, keys, open_tables, parts_of, rows_of


@pytest.fixture(params=["own puts", "deltalake"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Tables]:
    """Opens the tables of the test, each time as a driver that just started, with either way to put a commit."""

    def tables() -> Tables:
        opened = open_tables(tmp_path)
        if request.param == "deltalake":
            for name in ("predictions", "quarantine"):
                opened._logs[name] = DeltalakeLog(opened.uri(name))
        return opened

    return tables


@pytest.fixture
def tables(reopen: Callable[..., Tables]) -> Tables:
    return reopen()


def put(tables: Tables, batch: Batch, rows: int = 3, rejects: int = 0) -> Any:
    return commit(parts_of(tables, batch, rows, rejects), batch, tables, writer_of(tables))


def is_in(batch: Batch, tables: Tables) -> Any:
    return committed(batch.batch_id, batch.app_id, batch.manifest.digest, tables)


def test_a_batch_is_in_both_tables(tables: Tables) -> None:
    done = put(tables, a_batch(0, "a.csv", "b.csv"), rows=3, rejects=1)
    assert (done.version, done.skipped, done.rows, done.rejects) == (1, False, 6, 2)
    assert keys(tables, "predictions") == [(file, line) for file in ("a.csv", "b.csv") for line in (2, 3, 4)]
    assert keys(tables, "quarantine") == [("a.csv", 5), ("b.csv", 5)]


def test_the_commit_says_what_is_in_it(tables: Tables) -> None:
    batch = a_batch(0, "a.csv")
    put(tables, batch, rows=3, rejects=1)
    info = tables.predictions.handle().history(1)[0]
    body = json.loads(info["userMetadata"])["streamscore"]
    assert body.pop("attempt")
    assert body == {
        "app_id": "app",
        "batch_id": 0,
        "digest": batch.manifest.digest,
        "rows": 3,
        "rejects": 1,
        "model_name": "wine",
        "model_version": "3",
        "found_at": 1_700_000_000_000_000_000,
        "files": [
            {
                "path": "file:///in/a.csv",
                "size": 100,
                "modified": 1000,
                "etag": "",
                "found": 1_700_000_000_000_000_000,
                "predictions": 3,
                "rejects": 1,
            }
        ],
    }


def test_batches_follow_each_other(tables: Tables) -> None:
    for number in range(5):
        assert not is_in(a_batch(number), tables)
        put(tables, a_batch(number), rows=2, rejects=1)
        assert is_in(a_batch(number), tables)
    assert len(keys(tables, "predictions")) == 10 and len(keys(tables, "quarantine")) == 5


def test_an_empty_batch_is_committed_too(tables: Tables) -> None:
    assert put(tables, a_batch(0), rows=0).version == 1
    assert is_in(a_batch(0), tables)
    assert rows_of(tables, "predictions").num_rows == 0


def test_a_batch_of_rejects_only_is_committed(tables: Tables) -> None:
    put(tables, a_batch(0), rows=0, rejects=4)
    assert is_in(a_batch(0), tables) and len(keys(tables, "quarantine")) == 4


def test_without_rejects_quarantine_is_left_alone(tables: Tables) -> None:
    put(tables, a_batch(0))
    assert entries(tables, "quarantine") == 0


def test_a_replayed_batch_is_skipped(tables: Tables, reopen: Callable[..., Tables]) -> None:
    put(tables, a_batch(0), rejects=1)
    done = put(reopen(), a_batch(0), rejects=1)
    assert (done.skipped, done.version, done.rows, done.rejects) == (True, 1, 3, 1)
    assert len(keys(tables, "predictions")) == 3 and len(keys(tables, "quarantine")) == 1


def test_a_batch_with_another_manifest_is_a_conflict(tables: Tables) -> None:
    put(tables, a_batch(0, "a.csv"))
    with pytest.raises(ConflictError, match=r"micro-batch 0 of app .* digest .* --recover"):
        is_in(a_batch(0, "a.csv", content=1), tables)
    with pytest.raises(ConflictError, match=r"micro-batch 0 of app"):
        put(tables, a_batch(0, "other.csv"))
    assert len(keys(tables, "predictions")) == 3


def test_an_older_batch_that_never_was_in_is_a_conflict(tables: Tables) -> None:
    put(tables, a_batch(0))
    put(tables, a_batch(2))
    with pytest.raises(ConflictError, match=r"micro-batch 1 of app .* not to be found, and micro-batch 2 is in"):
        is_in(a_batch(1), tables)
    with pytest.raises(ConflictError):
        put(tables, a_batch(1))


def test_each_of_several_older_batches_is_known_to_be_in(tables: Tables, reopen: Callable[..., Tables]) -> None:
    for number in range(4):
        put(tables, a_batch(number))
    again = reopen()
    assert all(is_in(a_batch(number), again) for number in range(4)) and not is_in(a_batch(4), again)


@pytest.mark.parametrize("rejects", [0, 2])
@pytest.mark.parametrize("point", ["quarantine:before", "quarantine:after", "predictions:before", "predictions:after"])
def test_a_crash_at_any_point_is_repaired_by_the_same_batch(
    tables: Tables, reopen: Callable[..., Tables], monkeypatch: pytest.MonkeyPatch, point: str, rejects: int
) -> None:
    put(tables, a_batch(0), rejects=1)
    for _ in range(2):  # the replay crashes too
        crash_at(monkeypatch, point)
        driver = reopen()
        if not is_in(a_batch(1), driver) and (rejects or point.startswith("predictions")):
            with pytest.raises(Crash):
                put(driver, a_batch(1), rejects=rejects)
    monkeypatch.undo()
    driver = reopen()
    done = put(driver, a_batch(1), rejects=rejects)
    assert done.skipped == (point == "predictions:after")
    put(driver, a_batch(2), rejects=rejects)
    assert len(keys(driver, "predictions")) == 9 == len(set(keys(driver, "predictions")))
    assert len(keys(driver, "quarantine")) == 1 + 2 * rejects == len(set(keys(driver, "quarantine")))


def test_rejects_of_an_earlier_try_go_where_the_replay_has_none(
    tables: Tables, reopen: Callable[..., Tables], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tables, a_batch(0), rejects=1)
    crash_at(monkeypatch, "quarantine:after")
    with pytest.raises(Crash):
        put(tables, a_batch(1), rejects=3)
    monkeypatch.undo()
    put(reopen(), a_batch(1), rejects=0)
    assert keys(tables, "quarantine") == [("0.csv", 5)]


def test_rejects_of_an_earlier_try_are_found_by_their_rows_where_transactions_are_lost(
    tables: Tables, tmp_path: Path
) -> None:
    from deltalake import write_deltalake

    put(tables, a_batch(0), rejects=2)
    rows = rows_of(tables, "quarantine")
    copy = open_tables(tmp_path / "copy")
    write_deltalake(copy.uri("quarantine"), rows, mode="append")
    put(copy, a_batch(0), rejects=2)
    assert keys(copy, "quarantine") == [("0.csv", 5), ("0.csv", 6)]


def test_rejects_of_others_stay_in_files_that_hold_both(
    tables: Tables, reopen: Callable[..., Tables], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tables, a_batch(0), rejects=1)
    crash_at(monkeypatch, "predictions:before")
    with pytest.raises(Crash):
        put(tables, a_batch(1), rejects=2)
    monkeypatch.undo()
    tables.quarantine.handle().optimize.compact()
    put(reopen(), a_batch(1), rejects=2)
    assert keys(tables, "quarantine") == [("0.csv", 5), ("1.csv", 5), ("1.csv", 6)]


def test_parts_may_be_committed_again_after_a_storage_failure(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, writer = a_batch(0), writer_of(tables)
    parts = parts_of(tables, batch, 3, 2)
    append = writer.append
    calls = []

    def failing(log: DeltaLog, *rest: Any) -> int:
        calls.append(log.uri)
        if log is tables.predictions and len(calls) < 4:
            msg = "the disk is full"
            raise StorageError(msg)
        return append(log, *rest)

    monkeypatch.setattr(writer, "append", failing)
    for _ in range(2):
        with pytest.raises(StorageError):
            commit(parts, batch, tables, writer)
    commit(parts, batch, tables, writer)
    assert len(keys(tables, "predictions")) == 3 and len(keys(tables, "quarantine")) == 2


def test_a_commit_whose_answer_was_lost_is_known_again(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = writer_of(tables)
    append = writer.append

    def answer_lost(*append_of: Any) -> None:
        append(*append_of)
        msg = "somebody has this transaction: it is I"
        raise ConflictError(msg)

    monkeypatch.setattr(writer, "append", answer_lost)
    done = commit(parts_of(tables, a_batch(0)), a_batch(0), tables, writer)
    assert (done.version, done.skipped) == (1, False) and len(keys(tables, "predictions")) == 3


def test_a_driver_that_comes_second_is_told_who_it_is(tables: Tables, reopen: Callable[..., Tables]) -> None:
    slow = reopen()
    parts = parts_of(slow, a_batch(0), 3, 1)
    slow.predictions.refresh()
    writer = writer_of(slow)

    class Overtaken:
        def append(self, log: Any, *rest: Any) -> Any:
            if log is slow.predictions:
                put(reopen(), a_batch(0), rejects=1)
            return writer.append(log, *rest)

        replace, clear = writer.replace, writer.clear

    with pytest.raises(ConflictError, match=r"micro-batch 0 of app was committed to .*predictions by another driver"):
        commit(parts, a_batch(0), slow, Overtaken())
    assert len(keys(tables, "predictions")) == 3 and len(keys(tables, "quarantine")) == 1


@pytest.mark.parametrize("rejects", [0, 2])
def test_of_drivers_that_race_for_each_batch_one_wins_and_nothing_is_doubled(
    tables: Tables, reopen: Callable[..., Tables], rejects: int
) -> None:
    drivers, batches = 4, 6
    outcomes: list[list[str]] = [[] for _ in range(batches)]
    barrier = threading.Barrier(drivers)

    def drive() -> None:
        mine = reopen()
        writer = writer_of(mine)
        for number in range(batches):
            parts = parts_of(mine, a_batch(number), 3, rejects)
            barrier.wait()
            try:
                done = commit(parts, a_batch(number), mine, writer)
                outcomes[number].append("skipped" if done.skipped else "won")
            except ConflictError:
                outcomes[number].append("conflict")
            except StorageError as error:
                outcomes[number].append(str(error))
            barrier.wait()
            if not is_in(a_batch(number), mine):
                outcomes[number].append("lost")
            barrier.wait()

    threads = [threading.Thread(target=drive) for _ in range(drivers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for outcome in outcomes:
        assert set(outcome) <= {"won", "skipped", "conflict"} and outcome.count("won") == 1, outcomes
    assert len(keys(tables, "predictions")) == 3 * batches == len(set(keys(tables, "predictions")))
    assert len(keys(tables, "quarantine")) == rejects * batches == len(set(keys(tables, "quarantine")))


def test_commits_of_others_in_between_do_no_harm(tables: Tables, reopen: Callable[..., Tables]) -> None:
    put(tables, a_batch(0), rejects=1)
    put(reopen(), a_batch(0, "z.csv", app_id="other"), rejects=1)
    tables.predictions.handle().optimize.compact()
    put(tables, a_batch(1), rejects=1)
    assert len(keys(tables, "predictions")) == 9 and len(keys(tables, "quarantine")) == 3


def test_rows_that_others_delete_at_the_same_time_do_no_harm(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tables, a_batch(0))
    put(tables, a_batch(1))
    append, writer = tables.predictions.append, writer_of(tables)

    def after_a_delete(*args: Any) -> Any:
        if len(keys(tables, "predictions")) == 6:
            tables.predictions.handle().delete("batch_id = 0")
        return append(*args)

    monkeypatch.setattr(tables.predictions, "append", after_a_delete)
    commit(parts_of(tables, a_batch(2)), a_batch(2), tables, writer)
    assert len(keys(tables, "predictions")) == 6


def test_columns_added_while_the_stream_runs_do_no_harm(tables: Tables) -> None:
    put(tables, a_batch(0))
    tables.predictions.handle().alter.add_columns(a_field("note", "string"))
    put(tables, a_batch(1))
    assert rows_of(tables, "predictions")["note"].null_count == 6


def test_a_column_changed_under_the_stream_ends_it(tables: Tables) -> None:
    from deltalake import write_deltalake

    put(tables, a_batch(0))
    rows = rows_of(tables, "predictions")
    changed = rows.set_column(rows.schema.get_field_index("kind"), "kind", pa.array([1, 2, 3]))
    write_deltalake(tables.uri("predictions"), changed, mode="overwrite", schema_mode="overwrite")
    for _ in range(2):  # nor is it written to by the next try
        with pytest.raises(ContractError, match=r"the column 'kind' as .*long.*, which was .*string.* when the stream"):
            put(tables, a_batch(1))


def test_the_batch_is_still_known_when_the_log_was_cleaned(tables: Tables, reopen: Callable[..., Tables]) -> None:
    for number in range(4):
        put(tables, a_batch(number), rejects=1)
    append_batch_rows(tables)
    clean_log(tables, "predictions")
    again = reopen()
    assert all(is_in(a_batch(number), again) for number in range(4))
    with pytest.raises(ConflictError, match=r"digest"):
        is_in(a_batch(1, "other.csv"), again)
    put(again, a_batch(4))
    assert len(keys(again, "predictions")) == 15


def test_a_batch_is_looked_for_in_the_log_where_batches_lost_it(tables: Tables, reopen: Callable[..., Tables]) -> None:
    put(tables, a_batch(0))
    put(tables, a_batch(1))
    append_batch_rows(tables)
    tables.batches.handle().delete("batch_id = 0")
    assert is_in(a_batch(0), reopen())


def test_a_driver_that_slept_while_the_log_moved_on_and_was_cleaned_commits_at_its_end(
    tables: Tables, reopen: Callable[..., Tables]
) -> None:
    put(tables, a_batch(0))
    sleeper = reopen()
    awake = reopen()
    for number in range(3):
        put(awake, a_batch(number, app_id="awake"))
    clean_log(awake, "predictions")
    put(sleeper, a_batch(1))
    assert len(keys(reopen(), "predictions")) == 15


def test_an_entry_put_where_the_log_was_cleaned_is_an_error_and_not_a_lost_batch(tmp_path: Path) -> None:
    tables = open_tables(tmp_path)
    sleeper = tables.predictions.reopen()
    for number in range(3):
        put(tables, a_batch(number))
    clean_log(tables, "predictions")
    with pytest.raises(StorageError, match=r"version 1 is long past"):
        sleeper.append([], "sleeper", 0, "")  # without the refresh that every batch begins with
    assert not (tmp_path / "predictions/_delta_log/00000000000000000001.json").exists()


def test_parts_that_do_not_add_up_are_not_committed(tables: Tables) -> None:
    parts = parts_of(tables, a_batch(0, "a.csv"))
    with pytest.raises(StorageError, match=r"nothing was committed"):
        commit(parts, a_batch(0, "b.csv"), tables, writer_of(tables))
    assert entries(tables, "predictions") == 0


def test_no_temporary_file_stays_in_the_log(tables: Tables) -> None:
    for number in range(3):
        put(tables, a_batch(number), rejects=1)
    assert list(Path(tables.path).rglob("*.tmp")) == []


def test_a_file_system_without_hard_links_is_committed_to_by_deltalake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        msg = "no hard links here"
        raise PermissionError(msg)

    monkeypatch.setattr(os, "link", no_links)
    tables = open_tables(tmp_path)
    for number in range(3):
        put(tables, a_batch(number), rejects=1)
    assert len(keys(tables, "predictions")) == 9


def test_table_columns_keep_the_names_of_the_csv_header(tables: Tables) -> None:
    put(tables, a_batch(0))
    fields = {field.name: field.metadata for field in tables.predictions.handle().schema().fields}
    assert fields["first_value"] == {"original_name": "first value"}
    assert fields["born_at"] == {"original_name": "bornAt"}


def test_another_prediction_type_is_refused(tmp_path: Path) -> None:
    open_tables(tmp_path)
    with pytest.raises(
        ContractError, match=r"column 'prediction' is double, feed kit and its model give array<double>;.*--tables"
    ):
        open_tables(tmp_path, prediction=pa.list_(pa.float64()))


def test_another_column_type_is_refused(tmp_path: Path) -> None:
    open_tables(tmp_path)
    columns = [{"name": "first value", "type": "string"}]
    tables = Tables(tmp_path, Feed.model_validate({"name": "kit", "columns": columns}), TablesSettings())
    with pytest.raises(ContractError, match=r"column 'first_value' is double, feed kit and its model give string"):
        tables.create(pa.float64())


def test_the_type_of_earlier_predictions_is_known(tmp_path: Path) -> None:
    assert Tables(tmp_path, FEED, TablesSettings()).prediction_type is None
    open_tables(tmp_path, prediction=pa.list_(pa.float64()))
    assert Tables(tmp_path, FEED, TablesSettings()).prediction_type == pa.list_(pa.float64())


def test_columns_that_the_feed_has_got_since_are_added(tmp_path: Path) -> None:
    put(open_tables(tmp_path), a_batch(0))
    columns = [*FEED.model_dump()["columns"], {"name": "new one", "type": "int", "nullable": True}]
    tables = Tables(tmp_path, Feed.model_validate({"name": "kit", "columns": columns}), TablesSettings())
    tables.create(pa.float64())
    field = next(f for f in tables.predictions.handle().schema().fields if f.name == "new_one")
    assert field.metadata == {"original_name": "new one"}
    assert rows_of(tables, "predictions")["new_one"].null_count == 3


def test_somebody_elses_table_is_refused(tmp_path: Path) -> None:
    from deltalake import write_deltalake

    write_deltalake(str(tmp_path / "predictions"), pa.table({"a": [1]}))
    with pytest.raises(ContractError, match=r"has no column 'prediction'.*--tables"):
        open_tables(tmp_path)


def test_tables_that_cannot_be_made_are_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot use the Delta table .*streamscore doctor"):
        open_tables(tmp_path / "file" / "tables")


def a_field(name: str, kind: Any) -> Any:
    from deltalake import Field

    return Field(name, kind)


def clean_log(tables: Tables, table: str) -> None:
    """Checkpoint the log and delete all entries before, as Delta's clean-up does after 30 days."""
    handle = tables.log(table).handle()
    handle.create_checkpoint()
    for path in Path(tables.uri(table), "_delta_log").glob("*.json"):
        if int(path.stem) < handle.version():
            path.unlink()
