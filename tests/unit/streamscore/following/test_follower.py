"""A table is followed: each row once, in the order of its commits, or it is said why not."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from jobs.maintenance.clean import clean_log, vacuum
from jobs.maintenance.compact import Budget, compact
from schemas.errors import ContractError, SettingsError, StorageError
from streamscore.following.change import Change, Gap
from streamscore.following.cursor import Cursor
from streamscore.following.follower import TableFollower
from streamscore.tables.commit import commit
from streamscore.tables.delta_log import DeltaLog
from streamscore.tables.housekeeping import append_batch_rows
from streamscore.tables.tables import Tables
from streamscore.tables.writers import writer_of
from tests.support.log_kit import log_of, newest, protocol, put_entry, with_column
from tests.support.tables_kit import a_batch, open_tables, parts_of, parts_writer, scored

Key = tuple[str, int]


def put(tables: Tables, number: int, *, rows: int = 3, rejects: int = 1, app_id: str = "app", file: str = "") -> None:
    batch = a_batch(number, file or f"{app_id}-{number}.csv", app_id=app_id)
    commit(parts_of(tables, batch, rows, rejects), batch, tables, writer_of(tables))


def follower_of(tables: Tables, table: str = "predictions", start: Cursor | int | None = 0) -> TableFollower:
    batches = tables.uri("batches") if table == "predictions" else ""
    return TableFollower(tables.uri(table), start=start, batches=batches)


def keys(changes: list[Change]) -> list[Key]:
    rows = [row for change in changes for row in change.rows.select(["source_file", "source_line"]).to_pylist()]
    return [(row["source_file"], row["source_line"]) for row in rows]


def lines(number: int, rows: int = 3, app_id: str = "app") -> list[Key]:
    return [(f"{app_id}-{number}.csv", line) for line in range(2, rows + 2)]


def gaps(changes: list[Change]) -> list[Gap]:
    return [change.gap for change in changes if change.gap]


def clean(log: DeltaLog) -> None:
    """A checkpoint of the log now, and nothing before it."""
    log.refresh()
    log.write_checkpoint()
    clean_log(log, None, 0, dry_run=False)


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return open_tables(tmp_path / "kit")


def test_each_commit_brings_its_rows_once(tables: Tables) -> None:
    put(tables, 0)
    put(tables, 1, rows=2)
    follower = follower_of(tables)
    changes = list(follower.poll())
    assert [(change.version, keys([change])) for change in changes] == [(1, lines(0)), (2, lines(1, 2))]
    assert changes[0].rows.schema.equals(tables.predictions.schema)
    assert datetime.now(UTC) >= changes[1].at >= changes[0].at > datetime(2026, 1, 1, tzinfo=UTC)  # type: ignore[operator]
    assert list(follower.poll()) == []
    put(tables, 2)
    assert keys(list(follower.poll())) == lines(2)


def test_it_begins_with_the_next_commit_or_with_a_version(tables: Tables) -> None:
    put(tables, 0)
    put(tables, 1)
    follower = follower_of(tables, start=None)
    assert list(follower.poll()) == []
    put(tables, 2)
    assert keys(list(follower.poll())) == lines(2)
    assert keys(list(follower_of(tables, start=2).poll())) == [*lines(1), *lines(2)]
    with pytest.raises(SettingsError, match="has no version 9, its newest is 3; begin with one"):
        list(follower_of(tables, start=9).poll())


def test_whoever_stored_the_cursor_goes_on_after_it(tables: Tables) -> None:
    for number in range(4):
        put(tables, number)
    found, cursor = list[Change](), Cursor("", 0)
    while changes := list(follower_of(tables, start=cursor).poll()):
        found.append(changes[0])  # and then it dies
        cursor = Cursor.from_json(changes[0].cursor.to_json(), "here")
    assert keys(found) == [key for number in range(4) for key in lines(number)]


def test_a_commit_of_many_files_comes_file_by_file(tables: Tables) -> None:
    batch = a_batch(0)
    writer = parts_writer(tables, batch, part_bytes=1)
    for _ in range(3):
        writer.add(*scored("0.csv", 2))
    commit(writer.finish(), batch, tables, writer_of(tables))
    first, second, third = follower_of(tables).poll()
    assert [(change.version, change.rows.num_rows) for change in (first, second, third)] == [(1, 2)] * 3
    assert (first.cursor.position, second.cursor.position, third.cursor.version) == (1, 2, 2)
    assert len(list(follower_of(tables, start=first.cursor).poll())) == 2
    assert list(follower_of(tables, start=third.cursor).poll()) == []


def test_maintenance_brings_no_row_again(tables: Tables) -> None:
    follower = follower_of(tables)
    found = []
    for number in range(12):
        put(tables, number)
        found += list(follower.poll())
        if number % 5 == 4:
            assert compact(tables.predictions, 2**27, Budget()) > 3
            vacuum(tables.predictions, 0, dry_run=False)
            found += list(follower.poll())
            clean(tables.predictions)
    assert keys(found) == [key for number in range(12) for key in lines(number)] and gaps(found) == []


def test_rows_that_a_batch_replaces_come_where_they_are_new(tables: Tables) -> None:
    follower = follower_of(tables, "quarantine")
    put(tables, 0, rejects=2)
    batch = a_batch(1, "app-1.csv")
    parts = parts_of(tables, batch, 3, 2)
    writer_of(tables).append(tables.quarantine, parts.rejects, "app", 1, "")  # and then it dies
    assert len(keys(list(follower.poll()))) == 4
    put(tables, 1, rejects=3)  # reads as the first time, and a line more
    assert keys(list(follower.poll())) == [("app-1.csv", line) for line in (5, 6, 7)]
    DeltaTable(tables.uri("quarantine")).update({"replayed_as": "'again.csv'"}, predicate="batch_id = 0")
    changed = list(follower.poll())
    assert keys(changed) == [("app-0.csv", 5), ("app-0.csv", 6)]
    assert changed[0].rows["replayed_as"].to_pylist() == ["again.csv"] * 2


def test_deleted_rows_bring_nothing_and_equal_rows_are_counted(tmp_path: Path) -> None:
    table = tmp_path / "t"
    write_deltalake(table, pa.table({"x": [1.0, 1.0, float("nan"), 2.0], "y": [["a"], ["a"], None, []]}))
    follower = TableFollower(str(table), start=0)
    assert next(iter(follower.poll())).rows.num_rows == 4
    DeltaTable(table).delete("x = 2.0")
    assert list(follower.poll()) == []
    more = pa.table({"x": [1.0, 1.0, 1.0, float("nan"), 3.0], "y": [["a"], ["a"], ["a"], None, []]})
    write_deltalake(table, more, mode="overwrite")
    (change,) = follower.poll()
    assert change.rows.to_pylist() == [{"x": 1.0, "y": ["a"]}, {"x": 3.0, "y": []}]


def test_entries_that_were_cleaned_up_are_bridged_by_batches(tables: Tables) -> None:
    put(tables, 0)
    follower = follower_of(tables)
    assert keys(list(follower.poll())) == lines(0)
    for number in range(1, 6):
        put(tables, number)
    compact(tables.predictions, 2**27, Budget())
    append_batch_rows(tables)
    clean(tables.predictions)
    put(tables, 6)
    found = list(follower.poll())
    assert gaps(found) == [Gap("cleaned_up", 2, 6, (2, 3, 4, 5, 6))]
    assert "versions 2 to 6 any more: 5 of them come from the table as it is now" in str(found[0].gap)
    assert keys(found) == [key for number in range(1, 7) for key in lines(number)]
    assert [change.version for change in found[1:]] == [2, 3, 4, 5, 6, 8]
    assert all(change.at for change in found[1:])
    again = list(follower_of(tables, start=found[3].cursor).poll())
    assert keys(again) == [key for number in range(4, 7) for key in lines(number)]


def test_what_batches_does_not_know_is_said_to_be_lost(tables: Tables) -> None:
    follower = follower_of(tables)
    for number in range(3):
        put(tables, number)
    append_batch_rows(tables)
    by_hand = tables.predictions.dataset().to_table().slice(0, 1).set_column(7, "batch_id", pa.array([99]))
    for _ in range(2):
        write_deltalake(tables.uri("predictions"), by_hand, mode="append")
    clean(tables.predictions)
    found = list(follower.poll())
    assert gaps(found) == [Gap("cleaned_up", 0, 4, (1, 2, 3))]  # the entry of the checkpoint itself stays
    assert str(found[0].gap).endswith("3 of them come from the table as it is now, of 2 nothing is known")
    assert len(keys(found)) == 9 + 1
    quarantine = follower_of(tables, "quarantine")
    clean(tables.quarantine)
    (gap,) = gaps(list(quarantine.poll()))
    assert str(gap) == "the log has no entry of versions 0 to 2 any more: none can be read"


def test_rows_of_another_checkpoint_with_the_same_number_are_told_apart(tables: Tables) -> None:
    put(tables, 0, app_id="one")
    put(tables, 0, app_id="two")
    append_batch_rows(tables)
    clean(tables.predictions)
    clean(tables.predictions)
    found = list(follower_of(tables, start=2).poll())
    assert keys(found) == lines(0, app_id="two")


def test_a_commit_whose_files_were_vacuumed_is_read_by_its_batch(tables: Tables) -> None:
    for number in range(5):
        put(tables, number)
    for log in (tables.predictions, tables.quarantine):
        compact(log, 2**27, Budget())
        vacuum(log, 0, dry_run=False)
    put(tables, 5)
    found = list(follower_of(tables).poll())
    assert gaps(found) == [Gap("vacuumed", version, version, (version,)) for version in range(1, 6)]
    assert keys(found) == [key for number in range(6) for key in lines(number)]
    lost = list(follower_of(tables, "quarantine").poll())
    assert str(lost[0].gap) == "files of version 1 were deleted: none can be read"
    assert keys(lost) == [("app-5.csv", 5)]


@pytest.mark.parametrize("commits", [0, 1, 5])
def test_a_table_that_is_made_anew_is_noticed_and_read_from_its_begin(tables: Tables, commits: int) -> None:
    follower = follower_of(tables)
    for number in range(3):
        put(tables, number)
    list(follower.poll())
    shutil.rmtree(tables.path)
    assert list(follower.poll()) == [] and not follower.is_there
    anew = open_tables(Path(tables.path))
    for number in range(commits):
        put(anew, number, app_id="new")
    found = list(follower.poll())
    assert gaps(found) == [Gap("made_anew", 4, 4)]
    assert keys(found) == [key for number in range(commits) for key in lines(number, app_id="new")]
    put(anew, 9, app_id="new")
    assert keys(list(follower.poll())) == lines(9, app_id="new")
    assert follower.cursor and follower.cursor.version == commits + 2


def test_an_earlier_state_that_is_put_back_is_noticed(tables: Tables, tmp_path: Path) -> None:
    put(tables, 0)
    shutil.copytree(tables.path, tmp_path / "copy")
    put(tables, 1)
    follower = follower_of(tables)
    list(follower.poll())
    shutil.rmtree(tables.path)
    shutil.copytree(tmp_path / "copy", tables.path)
    (change,) = follower.poll()
    assert change.gap == Gap("went_back", 2, 2)
    put(open_tables(Path(tables.path)), 7)
    assert keys(list(follower.poll())) == lines(7)


def test_an_entry_that_another_writer_overwrote_is_said(tables: Tables) -> None:
    put(tables, 0)
    follower = follower_of(tables)
    list(follower.poll())
    entry = log_of(tables.uri("predictions")) / f"{newest(tables.uri('predictions')):020}.json"
    entry.write_text(json.dumps({"commitInfo": {"timestamp": 1, "operation": "WRITE"}}) + "\n")
    (change,) = follower.poll()
    assert change.gap == Gap("overwritten", 1, 1)
    assert list(follower.poll()) == []


def test_a_table_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    follower = TableFollower(str(tmp_path / "kit" / "predictions"))
    assert list(follower.poll()) == [] and not follower.is_there
    tables = open_tables(tmp_path / "kit")
    put(tables, 0)
    assert keys(list(follower.poll())) == lines(0) and follower.is_there


def test_columns_that_came_later_are_null_in_rows_before(tables: Tables) -> None:
    put(tables, 0)
    follower = follower_of(tables)
    list(follower.poll())
    put_entry(tables.uri("predictions"), with_column(tables.uri("predictions"), "note"))
    put(tables, 1)
    (change,) = follower.poll()
    assert change.rows["note"].to_pylist() == [None] * 3
    assert next(iter(follower_of(tables).poll())).rows["note"].to_pylist() == [None] * 3


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (lambda table: protocol(7, "deletionVectors", reader=3), "has the feature deletionVectors"),
        (
            lambda table: {"add": {"path": "a.parquet", "deletionVector": {"storageType": "u"}, "dataChange": True}},
            "deletes rows by deletion vectors",
        ),
    ],
)
def test_a_table_whose_files_hold_more_than_its_rows_is_refused(
    tables: Tables, action: Callable[[str], dict[str, object]], said: str
) -> None:
    follower = follower_of(tables)
    list(follower.poll())
    put_entry(tables.uri("predictions"), action(tables.uri("predictions")))
    for _ in range(2):
        with pytest.raises(ContractError, match=said):
            list(follower.poll())


def test_after_an_error_it_goes_on_where_it_was(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tables, 0)
    put(tables, 1)
    follower = follower_of(tables)
    changes = follower.poll()
    assert keys([next(changes)]) == lines(0)
    with monkeypatch.context() as patch:
        patch.setattr(follower._log, "read", lambda _: exec("raise OSError(5, 'Input/output error')"))
        with pytest.raises(StorageError, match=r"cannot read the Delta table .*Input/output error"):
            list(follower.poll())
    assert keys(list(follower.poll())) == lines(1)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"table_id": 1, "version": 1}', '{"table_id": "", "version": -1}'])
def test_a_file_that_is_no_cursor_is_told(text: str) -> None:
    with pytest.raises(SettingsError, match="here holds no cursor"):
        Cursor.from_json(text, "here")
