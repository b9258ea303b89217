"""Commits that a power cut tore: told with the file and the command, and scored again."""

import subprocess
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from schemas.errors import RecoveryError
from streamscore.tables.commit import commit
from streamscore.tables.housekeeping import append_batch_rows
from streamscore.tables.own_put_log import OwnPutLog
from streamscore.tables.recover import processed_files
from streamscore.tables.tables import Tables
from streamscore.tables.torn import is_torn
from streamscore.tables.writers import writer_of
from tests.support.tables_kit import a_batch, keys, open_tables, parts_of

NEWEST = f"_delta_log/{3:020}.json"  # of predictions: the table's first entry, and batches 0 to 2


def put(tables: Tables, *numbers: int, app_id: str = "app") -> None:
    for number in numbers:
        batch = a_batch(number, f"{app_id}-{number}.csv", app_id=app_id)
        commit(parts_of(tables, batch, 3, 1), batch, tables, writer_of(tables))


def torn(data: bytes) -> dict[str, bytes]:
    lines = data.splitlines(keepends=True)
    return {
        "zeros": b"\0" * len(data),
        "cut": data[: len(data) // 2],
        "zeros at the end": data[:-20] + b"\0" * 20,
        "cut after a line": b"".join(lines[:2]),  # the transaction is in, its rows are not
        "no text": b"\xff\xfe" + data,
    }


@pytest.mark.parametrize("how", torn(b"{}\n{}\n"))
def test_the_files_of_a_commit_that_a_power_cut_tore_are_scored_again(tmp_path: Path, how: str) -> None:
    tables = open_tables(tmp_path)
    put(tables, 0, 1, 2)
    append_batch_rows(tables)  # they say that batch 2 is in
    entry = Path(tables.uri("predictions"), NEWEST)
    entry.write_bytes(torn(entry.read_bytes())[how])
    with pytest.raises(RecoveryError, match=rf"{NEWEST} is torn, .*: streamscore run FEED --recover$"):
        tables.reopen().assert_whole()
    again = tables.reopen()
    assert again.set_torn_aside() == [f"predictions/{entry.name}"]
    again.assert_whole()
    assert sorted(Path(file.path).name for file in processed_files(again, "new")) == ["app-0.csv", "app-1.csv"]
    assert [name for name, _ in keys(again, "quarantine")] == ["app-0.csv", "app-1.csv"]
    put(again, 0, app_id="new")
    assert len(keys(again, "predictions")) == 9
    assert len(processed_files(again.reopen(), "newer")) == 3  # whoever looks later
    assert entry.with_name(f"{entry.name}.torn").exists()


@pytest.mark.parametrize("table", ["quarantine", "batches", "predictions"])
def test_every_table_is_looked_at_and_all_of_its_newest_commits(tmp_path: Path, table: str) -> None:
    tables = open_tables(tmp_path)
    put(tables, 0, 1, 2)
    append_batch_rows(tables)
    entries = sorted(Path(tables.uri(table), "_delta_log").glob("*.json"))[-2 if table != "batches" else -1 :]
    for entry in entries:
        entry.write_bytes(b"\0" * 100)
    with pytest.raises(RecoveryError, match=f"{table}/_delta_log/{entries[0].name} is torn"):
        tables.reopen().assert_whole()
    assert tables.reopen().set_torn_aside() == [f"{table}/{entry.name}" for entry in reversed(entries)]
    tables.reopen().assert_whole()


def test_a_table_that_cannot_be_opened_names_the_entry(tmp_path: Path) -> None:
    tables = open_tables(tmp_path)
    put(tables, 0, 1, 2)
    log = Path(tables.uri("predictions"), "_delta_log")
    (log / f"{2:020}.json").write_bytes(b"\0")
    with pytest.raises(RecoveryError, match=rf"{2:020}\.json is damaged, and later ones are not.*; put it back"):
        _ = tables.reopen().predictions
    assert tables.reopen().set_torn_aside() == []
    (log / f"{3:020}.json").write_bytes(b"{")
    with pytest.raises(RecoveryError, match=rf"{2:020}\.json is torn"):
        _ = tables.reopen().predictions


def test_a_table_that_is_no_streams_says_how_it_is_mended_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "requests"
    DeltaTable.create(path, pa.schema([("x", pa.int64())]))
    write_deltalake(path, pa.table({"x": [1]}), mode="append")
    entry = path / f"_delta_log/{1:020}.json"
    entry.write_bytes(b"\0")
    with pytest.raises(RecoveryError, match="take it out of the log: mv ") as told:
        OwnPutLog(str(path))
    subprocess.run(str(told.value).rpartition(": ")[2], shell=True, check=True)
    assert OwnPutLog(str(path)).version == 0


def test_an_entry_of_others_is_torn_only_if_it_is_no_json(tmp_path: Path) -> None:
    assert not is_torn(b"")  # it says nothing: its micro-batch is not in
    assert not is_torn(b'{"commitInfo":{}}\n{"add":{"path":"a"}}')
    assert not is_torn(b'{"commitInfo":{"userMetadata":"a note"}}\n')
    assert not is_torn(b'{"commitInfo":{"userMetadata":"{\\"streamscore\\":{\\"rows\\":0}}"}}\n')
    assert is_torn(b'{"commitInfo":{"userMetadata":"{\\"streamscore\\":{\\"rows\\":2}}"}}\n')
    assert is_torn(b"[]\n") and is_torn(b"1")
