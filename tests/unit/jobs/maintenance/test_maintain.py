"""Maintenance of the tables beside the stream: rows, types and statistics stay; nothing of it fails a commit."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from jobs.maintenance import compact as compact_module
from jobs.maintenance.clean import clean_log, clean_models, expired_entries, vacuum
from jobs.maintenance.compact import Budget, compact
from jobs.maintenance.lock import alone
from jobs.maintenance.maintain import Task, maintain
from jobs.maintenance.plan_compaction import FEWEST, SMALL, DataFile, plan
from jobs.maintenance.schedule import MaintenanceScheduler
from schemas.errors import StorageError, TryAgainError
from schemas.settings import Tables as TablesSettings
from streamscore.storage.folder import Folder, Listed, LocalFolder
from streamscore.storage.stream_paths import StreamPaths
from streamscore.tables.commit import commit, committed
from streamscore.tables.housekeeping import append_batch_rows, append_events
from streamscore.tables.parts import write_part
from streamscore.tables.tables import Tables
from streamscore.tables.writers import writer_of
from tests.support.present import present
from tests.support.tables_kit import (
    FEED,
    LANDED_AT,
    a_batch,
    keys,
    open_tables,
    parts_of,
    parts_writer,
    rows_of,
    scored,
)
from tests.support.wait import HANG_SECONDS

MB = 2**20
HOUR = 3600


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return open_tables(tmp_path / "tables")


def put(tables: Tables, *numbers: Any, rejects: int = 0) -> None:
    for number in numbers:
        batch = a_batch(number)
        commit(parts_of(tables, batch, 3, rejects), batch, tables, writer_of(tables))


def task_of(tables: Tables, tmp_path: Path, **settings: Any) -> Task:
    return Task(FEED, paths_of(tables.path, tmp_path), TablesSettings(**settings))


def paths_of(tables: str, tmp_path: Path) -> StreamPaths:
    checkpoint = LocalFolder(tmp_path / "checkpoint")
    return StreamPaths(LocalFolder(tmp_path / "in"), tables, checkpoint, checkpoint.path)


def age(folder: Path | str, hours: float, pattern: str = "*") -> None:
    old = time.time() - hours * HOUR
    for path in Path(folder).glob(pattern):
        if path.is_file():
            os.utime(path, (old, old))


def files(tables: Tables, table: str = "predictions") -> int:
    return len(tables.log(table).handle().file_uris())


def stored(tables: Tables, table: str = "predictions") -> set[Any]:
    return {path.name for path in Path(tables.uri(table)).glob("*.parquet")}


def log_of(tables: Tables, table: str = "predictions") -> Path:
    return Path(tables.uri(table), "_delta_log")


# --- which files


def a_file(name: str, size: int, modified: int = 0, rows: int = 10) -> DataFile:
    return DataFile(name, size, modified, rows)


def test_small_files_are_grouped_oldest_first_up_to_the_target() -> None:
    small = [a_file(f"{n}", 4 * MB, modified=n) for n in range(20)]
    groups = list(plan([*reversed(small), a_file("big", 30 * MB)], 64 * MB))
    assert [[f.path for f in group] for group in groups] == [[str(n) for n in range(16)], ["16", "17", "18", "19"]]


def test_a_file_that_outweighs_the_others_waits_until_they_have_grown() -> None:
    tail = a_file("tail", 10 * MB)
    few = [a_file(str(n), MB, modified=n + 1) for n in range(5)]
    assert [f.path for f in next(plan([tail, *few], 64 * MB))] == [f.path for f in few]
    many = [a_file(str(n), MB, modified=n + 1) for n in range(10)]
    assert len(next(plan([tail, *many], 64 * MB))) == 11


def test_too_few_files_are_left_alone() -> None:
    assert list(plan([a_file(str(n), MB) for n in range(FEWEST - 1)], 64 * MB)) == []


def test_rows_that_take_much_memory_fill_a_file_too() -> None:
    dense = [a_file(str(n), 1000, modified=n, rows=1000) for n in range(100)]
    assert [len(group) for group in plan(dense, 64 * MB, row_bytes=10 * MB / 1000)] == [12] * 8 + [4]
    assert list(plan(dense, 64 * MB, row_bytes=40 * MB / 1000)) == []  # each is whole by that


@given(st.lists(st.integers(0, 100 * MB), max_size=60))
def test_every_group_is_of_small_files_each_once_and_fits(sizes: Any) -> None:
    there = [a_file(str(n), size, modified=n) for n, size in enumerate(sizes)]
    groups = list(plan(there, 64 * MB))
    grouped = [file for group in groups for file in group]
    assert len(grouped) == len(set(grouped)) and all(file.size < SMALL * 64 * MB for file in grouped)
    assert all(len(group) >= FEWEST and sum(f.size for f in group) <= 64 * MB for group in groups)


# --- compaction


def test_many_small_files_become_one_with_the_same_rows(tables: Tables) -> None:
    put(tables, *range(10), rejects=2)
    before = {
        name: rows_of(tables, name).sort_by([("source_file", "ascending"), ("source_line", "ascending")])
        for name in ("predictions", "quarantine")
    }
    for name, rows in before.items():
        assert compact(tables.log(name), 64 * MB, Budget()) == 10
        again = rows_of(tables, name)
        assert again.schema == rows.schema
        assert again.sort_by([("source_file", "ascending"), ("source_line", "ascending")]).equals(rows)
        assert files(tables, name) == 1 and compact(tables.log(name), 64 * MB, Budget()) == 0


def test_no_string_view_and_every_filter_finds_its_rows(tables: Tables) -> None:
    for number, values in enumerate([[-1.0, float("nan"), None], [5.0, 6.0, None]] * 2):
        writer = parts_writer(tables, a_batch(number, f"{number}.csv"))
        kind, born_at = ["red", None, "w"], [None, LANDED_AT, None]
        writer.add(*scored(f"{number}.csv", 3, first_value=values, kind=kind, born_at=born_at))
        commit(writer.finish(), a_batch(number, f"{number}.csv"), tables, writer_of(tables))
    assert compact(tables.predictions, 64 * MB, Budget()) == 4
    physical = pq.read_schema(next(iter(tables.predictions.handle().file_uris())))
    assert physical.field("kind").type == pa.string()
    dataset = DeltaTable(tables.uri("predictions")).to_pyarrow_dataset()
    found = {
        "kind": pc.field("kind") == "red",
        "file": pc.field("source_file") == "2.csv",
        "batch": pc.field("batch_id") >= 2,
        "value": pc.field("first_value") > 5.5,
        "time": pc.field("born_at") == pa.scalar(LANDED_AT),
        "null": pc.field("first_value").is_null(),
    }
    counts = {name: dataset.count_rows(filter=wanted) for name, wanted in found.items()}
    assert counts == {"kind": 4, "file": 3, "batch": 6, "value": 2, "time": 4, "null": 4}
    stats = tables.predictions.handle().get_add_actions(flatten=True)
    bounded = {name.partition(".")[2] for name in stats.column_names if name.startswith("min.")}
    assert bounded == set(tables.predictions.schema.names)


def test_string_views_of_others_become_strings(tables: Tables) -> None:
    put(tables, *range(5), rejects=2)
    for number in range(4):  # what `deltalake` rewrites holds string views
        tables.quarantine.handle().delete(f"batch_id = {number} AND source_line = 5")
    tables.quarantine.refresh()
    assert compact(tables.quarantine, 64 * MB, Budget()) == 5
    dataset = tables.quarantine.dataset()
    assert dataset.count_rows(filter=pc.field("source_file") == "4.csv") == 2
    assert dataset.count_rows(filter=pc.field("reason") == "bad_type") == 6


def test_files_from_before_a_column_was_added_hold_null(tables: Tables) -> None:
    put(tables, *range(3))
    from deltalake import Field
    from deltalake.schema import PrimitiveType

    tables.predictions.handle().alter.add_columns([Field("extra", PrimitiveType("string"))])
    put(tables, 3)
    assert compact(tables.predictions, 64 * MB, Budget()) == 4
    assert rows_of(tables, "predictions")["extra"].null_count == 12


def test_readers_are_told_that_no_row_changed(tables: Tables) -> None:
    put(tables, *range(4))
    compact(tables.predictions, 64 * MB, Budget())
    lines = [json.loads(line) for line in (log_of(tables) / f"{5:020}.json").read_text().splitlines()]
    kinds = [next(iter(line)) for line in lines]
    assert kinds == ["commitInfo"] + ["remove"] * 4 + ["add"]
    assert all(line[kind]["dataChange"] is False for line, kind in zip(lines[1:], kinds[1:], strict=True))


def test_a_running_stream_commits_on_and_knows_its_batches(tables: Tables) -> None:
    stream = tables.reopen()
    put(stream, *range(4), rejects=1)
    compact(tables.predictions, 64 * MB, Budget())
    put(stream, 4, rejects=1)
    compact(tables.quarantine, 64 * MB, Budget())
    put(stream, 5, rejects=1)
    for one in (stream, tables.reopen()):
        assert all(committed(n, "app", a_batch(n).manifest.digest, one) for n in range(6))
    assert append_batch_rows(tables.reopen()) == 6
    assert sorted(rows_of(tables, "batches")["batch_id"].to_pylist()) == list(range(6))
    assert len(set(keys(tables, "predictions"))) == 18 == len(keys(tables, "predictions"))


def test_what_is_appended_between_plan_and_commit_stays(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tables, *range(4))
    stream = tables.reopen()
    real = write_part

    def slow(table: pa.Table, folder: Folder) -> Any:
        part = real(table, folder)
        put(stream, 4, 5)
        return part

    monkeypatch.setattr(compact_module, "write_part", slow)
    assert compact(tables.predictions, 64 * MB, Budget(left_bytes=1)) == 4
    assert files(tables) == 3 and len(keys(tables, "predictions")) == 18


def test_it_does_not_run_after_a_stream_that_goes_on(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tables, *range(4))
    stream, numbers, real = tables.reopen(), iter(range(4, 100)), write_part

    def slow(table: pa.Table, folder: Folder) -> Any:
        put(stream, *(next(numbers) for _ in range(8)))
        return real(table, folder)

    monkeypatch.setattr(compact_module, "write_part", slow)
    assert compact(tables.predictions, 64 * MB, Budget()) == 4 and files(tables) == 9


def test_what_many_groups_became_is_grouped_again(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.maintenance.plan_compaction.MOST", 4)
    put(tables, *range(16))
    assert compact(tables.predictions, 64 * MB, Budget()) == 20 and files(tables) == 1


def test_of_two_who_compact_the_same_files_one_commits_and_leaves_nothing_behind(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tables, *range(4))
    real, other = write_part, tables.reopen()

    def overtaken(table: pa.Table, folder: Folder) -> Any:
        monkeypatch.setattr(compact_module, "write_part", real)
        assert compact(other.predictions, 64 * MB, Budget()) == 4
        return real(table, folder)

    monkeypatch.setattr(compact_module, "write_part", overtaken)
    assert compact(tables.predictions, 64 * MB, Budget()) == 0
    assert files(tables) == 1 and len(stored(tables)) == 5 and len(keys(tables, "predictions")) == 12


def test_rejects_are_replaced_while_their_files_are_compacted(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that a crash interrupted is run again: its replacing commit must not fail because of a compaction."""
    from streamscore.tables import commit as commit_module

    put(tables, *range(4), rejects=2)
    batch, stream, other = a_batch(3), tables.reopen(), tables.reopen()
    raced: list[Any] = []
    real = commit_module.write_deltalake  # type: ignore[attr-defined]  # its import

    def overtaken(*arguments: Any, **options: Any) -> Any:
        if not raced:
            raced.append(compact(other.quarantine, 64 * MB, Budget()))
        return real(*arguments, **options)

    monkeypatch.setattr(commit_module, "write_deltalake", overtaken)
    own: dict[str, str | int] = {"app_id": "app", "batch_id": 3}
    writer_of(stream).replace(stream.quarantine, own, parts_of(stream, batch, 0, 1).rejects, "app", "again")
    assert raced == [4] and len(keys(tables, "quarantine")) == 7


def test_a_stream_that_commits_all_the_time_neither_waits_nor_fails(tables: Tables) -> None:
    put(tables, *range(8), rejects=1)
    stop, failed = threading.Event(), []

    def maintain_on_and_on() -> None:
        mine = tables.reopen()
        while not stop.is_set():
            for name in ("predictions", "quarantine"):
                try:
                    compact(mine.log(name), 64 * MB, Budget())
                except TryAgainError:
                    pass
                except Exception as error:
                    failed.append(error)

    others = [threading.Thread(target=maintain_on_and_on) for _ in range(2)]
    for other in others:
        other.start()
    try:
        put(tables.reopen(), *range(8, 60), rejects=1)
    finally:
        stop.set()
        for other in others:
            other.join()
    assert failed == []
    assert len(keys(tables, "predictions")) == 180 == len(set(keys(tables, "predictions")))
    assert len(keys(tables, "quarantine")) == 60 == len(set(keys(tables, "quarantine")))


def test_a_file_that_holds_other_rows_than_the_log_says_stops_it(tables: Tables) -> None:
    put(tables, *range(4))
    victim = Path(tables.predictions.handle().file_uris()[0])
    pq.write_table(pq.read_table(victim).slice(0, 1), victim)
    with pytest.raises(StorageError, match=r"holds 1 rows, the table's log says 3"):
        compact(tables.predictions, 64 * MB, Budget())
    assert files(tables) == 4


def test_a_round_does_no_more_than_it_may(tables: Tables) -> None:
    put(tables, *range(8))
    assert compact(tables.predictions, 64 * MB, Budget(seconds=0.0)) == 0
    assert compact(tables.predictions, 64 * MB, Budget(left_bytes=0)) == 0


# --- what is old


def listed(*names: Any, hours: float = 0.0) -> list[Any]:
    return [Listed(name, 1, 1000 - hours * HOUR) for name in names]


def entry(version: int) -> str:
    return f"{version:020}.json"


def checkpoint(version: int) -> str:
    return f"{version:020}.checkpoint.parquet"


def test_entries_go_up_to_a_checkpoint_that_is_as_old() -> None:
    there = listed(*map(entry, range(8)), checkpoint(3), checkpoint(6), hours=2) + listed(*map(entry, range(8, 12)))
    there += listed(checkpoint(10))
    gone = expired_entries(there, folded=100, before=1000 - HOUR)
    assert gone == [name for n in range(6) for name in ([checkpoint(3)] if n == 3 else []) + [entry(n)]]


def test_entries_that_are_not_folded_stay() -> None:
    there = listed(*map(entry, range(8)), checkpoint(3), checkpoint(6), hours=2)
    assert expired_entries(there, folded=4, before=1000) == [entry(n) for n in range(3)]
    assert expired_entries(there, folded=-1, before=1000) == []


def test_without_a_checkpoint_no_entry_goes() -> None:
    assert expired_entries(listed(*map(entry, range(8)), hours=2), folded=100, before=1000) == []


def test_a_cleaned_log_reads_as_before_and_the_stream_goes_on(tables: Tables, tmp_path: Path) -> None:
    stream = tables.reopen()
    put(stream, *range(20), rejects=1)
    age(log_of(tables), 200)
    report = maintain(task_of(tables, tmp_path, checkpoint_every=5))
    done = {one.table: one for one in report.tables}
    assert done["predictions"].before.entries == 21 and done["predictions"].after.entries <= 2
    assert done["predictions"].before.files == 20 and done["predictions"].after.files == 1
    assert sorted(rows_of(tables, "batches")["batch_id"].to_pylist()) == list(range(20))
    put(stream, 20, rejects=1)
    again = tables.reopen()
    assert all(committed(n, "app", a_batch(n).manifest.digest, again) for n in range(21))
    assert len(keys(again, "predictions")) == 63 and len(keys(again, "quarantine")) == 21


def test_young_entries_stay(tables: Tables, tmp_path: Path) -> None:
    put(tables, *range(10))
    maintain(task_of(tables, tmp_path, checkpoint_every=5))
    assert len(list(log_of(tables).glob("0*.json"))) == 12


def test_only_files_that_left_the_table_long_ago_go(tables: Tables) -> None:
    put(tables, *range(4))
    compact(tables.predictions, 64 * MB, Budget())
    orphan = write_part(rows_of(tables, "predictions"), tables.predictions.folder).path
    age(tables.uri("predictions"), 200)
    uncommitted = write_part(rows_of(tables, "predictions"), tables.predictions.folder).path
    assert vacuum(tables.predictions, 168, dry_run=True)[0] == 1
    assert vacuum(tables.predictions, 168, dry_run=False)[0] == 1
    assert len(stored(tables)) == 6 and orphan not in stored(tables) and uncommitted in stored(tables)
    old = DeltaTable(tables.uri("predictions"), version=4)  # who still reads what was compacted just now
    assert old.to_pyarrow_table().num_rows == 12 == rows_of(tables, "predictions").num_rows


def test_files_that_were_compacted_long_ago_go(tables: Tables) -> None:
    put(tables, *range(4))
    compact(tables.predictions, 64 * MB, Budget())
    newest = log_of(tables) / entry(5)
    long_ago = int((time.time() - 200 * HOUR) * 1000)
    lines = [json.loads(line) for line in newest.read_text().splitlines()]
    for line in lines:
        if "remove" in line:
            line["remove"]["deletionTimestamp"] = long_ago
    newest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    age(tables.uri("predictions"), 200)
    assert vacuum(tables.predictions, 168, dry_run=False)[0] == 4
    assert len(stored(tables)) == 1 and rows_of(tables, "predictions").num_rows == 12


def test_what_a_crash_left_goes_and_nothing_else(tables: Tables) -> None:
    put(tables, 0)
    folder = Path(tables.uri("predictions"))
    (folder / f".part-x.parquet.{'0' * 32}.tmp").touch()
    (folder / "notes.txt").touch()
    (folder / "_delta_log" / f".{entry(1)}.{'0' * 32}.tmp").touch()
    assert vacuum(tables.predictions, 168, dry_run=False)[0] == 0
    age(folder, 200)
    age(folder / "_delta_log", 200)
    assert vacuum(tables.predictions, 168, dry_run=False)[0] == 1
    assert clean_log(tables.predictions, None, 168, dry_run=False) == 1
    assert (folder / "notes.txt").exists() and rows_of(tables, "predictions").num_rows == 3


def test_what_takes_their_place_is_synced_before_entries_and_parts_are_deleted(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tables, 0, 1, 2)
    tables.predictions.write_checkpoint()
    put(tables, 3)
    folder = Path(tables.uri("predictions"))
    (folder / "part-unused.parquet").touch()
    synced: list[tuple[str, bool]] = []

    def sync(of: LocalFolder) -> None:
        synced.append((of.path.name, (folder / "_delta_log" / entry(0)).exists()))

    monkeypatch.setattr(LocalFolder, "sync", sync)
    assert clean_log(tables.predictions, None, 168, dry_run=False) == vacuum(tables.predictions, 168, dry_run=True)[0]
    assert synced == []
    age(folder, 200)
    age(folder / "_delta_log", 200)
    os.utime(folder / "_delta_log" / entry(4))
    assert clean_log(tables.predictions, None, 168, dry_run=False) == 3
    assert vacuum(tables.predictions, 168, dry_run=False)[0] == 1
    assert synced == [("_delta_log", True), ("predictions", False)]


def test_models_that_scored_lately_or_were_used_stay(tmp_path: Path) -> None:
    journal = LocalFolder(tmp_path).open_journal("models")
    for number in range(6):
        folder = tmp_path / "models" / f"wine-{number}"
        folder.mkdir(parents=True)
        journal.append(json.dumps({"path": str(folder)}).encode())
        if number != 1:
            os.utime(folder, (0, 0))
    assert clean_models(LocalFolder(tmp_path), tmp_path, 168, dry_run=True) == 2
    assert clean_models(LocalFolder(tmp_path), tmp_path, 168, dry_run=False) == 2
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == [f"wine-{n}" for n in (1, 3, 4, 5)]


# --- all of it


def test_all_tables_are_maintained_and_again_is_nothing(tables: Tables, tmp_path: Path) -> None:
    for number in range(5):
        put(tables, number, rejects=1)
        append_batch_rows(tables)
        append_events(tables, [{"kind": "swapped"}])
    task = task_of(tables, tmp_path)
    planned = maintain(task, dry_run=True)
    assert [one.compacted for one in planned.tables] == [5, 5, 5, 5] and files(tables) == 5
    report = maintain(task)
    assert {one.table: one.after.files for one in report.tables} == dict.fromkeys(
        ("predictions", "quarantine", "batches", "events"), 1
    )
    assert all(one.compacted == 0 for one in maintain(task).tables)
    assert rows_of(tables, "batches").num_rows == 5 == rows_of(tables, "events").num_rows


def test_without_tables_it_says_who_makes_them(tables: Tables, tmp_path: Path) -> None:
    task = replace(task_of(tables, tmp_path), paths=paths_of(str(tmp_path / "nothing"), tmp_path))
    with pytest.raises(StorageError, match=r"no Delta tables in .*streamscore run kit"):
        maintain(task)


def test_a_second_one_at_the_same_time_is_told_to_come_later(tables: Tables, tmp_path: Path) -> None:
    with (
        alone(task_of(tables, tmp_path).paths, "kit"),
        pytest.raises(TryAgainError, match=r"another maintenance .* is at work"),
    ):
        maintain(task_of(tables, tmp_path))
    maintain(task_of(tables, tmp_path))


def test_where_spark_commits_the_stream_must_be_stopped(tables: Tables, tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    task = task_of(tables, tmp_path, writer="delta-spark")
    held = LocalFolder(tmp_path / "checkpoint").take_lease("kit", lambda _: None)
    with pytest.raises(TryAgainError, match=r"tables.writer is delta-spark: stop it first"):
        maintain(task)
    held.release()
    assert len(maintain(task).tables) == 2


KILLED = """
import os, signal, sys
from jobs.maintenance import compact, maintain
from streamscore.tables.own_put_log import OwnPutLog
task = maintain.Task.from_json(sys.stdin.read())
point = {point!r}
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
if point == "part":
    real = compact.write_part
    compact.write_part = lambda *a: (real(*a), die())
elif point == "commit":
    put = OwnPutLog.rearrange
    OwnPutLog.rearrange = lambda *a: (put(*a), die())
elif point == "checkpoint":
    maintain.clean_log = die
else:
    maintain.vacuum = die
maintain.maintain(task)
"""


@pytest.mark.slow
@pytest.mark.parametrize("point", ["part", "commit", "checkpoint", "log"])
def test_killed_anywhere_it_leaves_whole_tables_and_the_next_one_ends_it(
    tables: Tables, tmp_path: Path, point: str
) -> None:
    put(tables, *range(6), rejects=1)
    append_batch_rows(tables)
    age(log_of(tables), 200)
    task = task_of(tables, tmp_path, checkpoint_every=2)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED.format(point=point)],
        input=task.to_json(),
        text=True,
        check=False,
        cwd=Path(__file__).parents[4],
    )
    assert killed.returncode == -signal.SIGKILL
    for one in (tables.reopen(), tables):
        assert len(keys(one, "predictions")) == 18 == len(set(keys(one, "predictions")))
    put(tables.reopen(), 6, rejects=1)
    report = maintain(task)
    assert report.tables[0].after.files <= 2
    again = tables.reopen()
    assert all(committed(n, "app", a_batch(n).manifest.digest, again) for n in range(7))
    assert len(keys(again, "predictions")) == 21 == len(set(keys(again, "predictions")))
    assert len(keys(again, "quarantine")) == 7


# --- inside a run


@pytest.mark.slow
def test_a_run_starts_a_round_by_time_or_by_commits_and_waits_for_none(tables: Tables, tmp_path: Path) -> None:
    put(tables, *range(6), rejects=1)
    rounds = MaintenanceScheduler(task_of(tables, tmp_path, maintain_commits=2))
    rounds.look()
    assert rounds._child is None
    rounds.committed()
    rounds.committed()
    rounds.look()
    assert rounds._child is not None and rounds._child.poll() is None  # it runs on
    assert rounds._child.wait(HANG_SECONDS) == 0
    rounds.look()
    assert rounds._child is None and files(tables) == 1 == files(tables, "quarantine")
    rounds.stop()


def test_a_round_is_ended_with_the_run(tables: Tables, tmp_path: Path) -> None:
    put(tables, *range(6))
    rounds = MaintenanceScheduler(task_of(tables, tmp_path, maintain_commits=1))
    rounds.committed()
    rounds.look()
    rounds.stop()
    assert present(rounds._child).returncode == -signal.SIGTERM
    assert len(keys(tables, "predictions")) == 18


def test_maintenance_inside_a_run_can_be_switched_off(tables: Tables, tmp_path: Path) -> None:
    rounds = MaintenanceScheduler(task_of(tables, tmp_path, maintain_every=0, maintain_commits=1))
    rounds.committed()
    rounds.look()
    assert rounds._child is None
