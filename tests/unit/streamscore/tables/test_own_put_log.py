"""Our own puts beside other writers: what one overwrites is noticed, and an idle stream does not open tables anew."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import ContractError, StorageError
from streamscore.tables.commit import commit
from streamscore.tables.own_put_log import STALE
from streamscore.tables.tables import Tables
from streamscore.tables.writers import writer_of
from tests.support.log_kit import log_of, newest, protocol, put_entry, with_column
from tests.support.tables_kit import a_batch, keys, open_tables, parts_of


def put(tables: Tables, number: int) -> None:
    batch = a_batch(number)
    commit(parts_of(tables, batch, 3, 1), batch, tables, writer_of(tables))


def overwrite(table: Path, *actions: dict[str, Any]) -> None:
    """Put an entry in the place of the newest one by a rename, as Spark does that did not see it."""
    entry = log_of(table) / f"{newest(table):020}.json"
    lines = [{"commitInfo": {"timestamp": 1, "operation": "WRITE", "engineInfo": "Apache-Spark"}}, *actions]
    temporary = entry.with_suffix(".tmp")
    temporary.write_text("".join(json.dumps(line) + "\n" for line in lines))
    temporary.rename(entry)


@pytest.mark.parametrize("table", ["predictions", "quarantine"])
def test_a_commit_that_another_writer_wrote_over_is_made_again(tmp_path: Path, table: str) -> None:
    tables = open_tables(tmp_path)
    tables.take_over("app", recover=False)
    put(tables, 0)
    put(tables, 1)
    overwrite(tmp_path / table, {"txn": {"appId": "theirs", "version": 7}})
    assert len(keys(open_tables(tmp_path), table)) in (1, 3)
    put(tables, 2)
    put(tables, 3)
    again = open_tables(tmp_path)
    assert len(keys(again, "predictions")) == 12 == len(set(keys(again, "predictions")))
    assert len(keys(again, "quarantine")) == 4 == len(set(keys(again, "quarantine")))
    assert again.log(table).transaction("theirs") == 7


def test_it_is_not_made_again_in_a_table_that_asks_more_since(tmp_path: Path) -> None:
    tables, table = open_tables(tmp_path), tmp_path / "predictions"
    put(tables, 0)
    overwrite(table, protocol(7, "rowTracking", "domainMetadata"))
    with pytest.raises(ContractError, match="rowTracking"):
        put(tables, 1)
    assert newest(table) == 1


def test_it_is_made_again_once_storage_lets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = open_tables(tmp_path)
    put(tables, 0)
    overwrite(tmp_path / "predictions")
    create, failures = tables.predictions._log.create, iter([True, True])

    def failing(name: str, data: bytes) -> bool:
        if next(failures, False):
            raise OSError(28, "No space left on device")
        return create(name, data)

    monkeypatch.setattr(tables.predictions._log, "create", failing)
    for _ in range(2):
        with pytest.raises(StorageError, match="No space left"):
            put(tables, 1)
    put(tables, 1)
    assert len(keys(tables, "predictions")) == 6 == len(set(keys(tables, "predictions")))


def test_a_log_that_was_cleaned_up_meanwhile_is_no_overwritten_commit(tmp_path: Path) -> None:
    tables = open_tables(tmp_path)
    put(tables, 0)
    others = open_tables(tmp_path)
    put(others, 1)
    tables.predictions.handle().create_checkpoint()
    for version in range(2):
        (log_of(tmp_path / "predictions") / f"{version:020}.json").unlink()
    put(tables, 2)
    assert len(keys(tables, "predictions")) == 9


def test_the_first_file_after_a_quiet_hour_does_not_open_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = open_tables(tmp_path)
    tables.take_over("app", recover=False)
    put(tables, 0)
    tables.predictions.handle().create_checkpoint()
    for log in (tables.predictions, tables.quarantine):
        monkeypatch.setattr(log, "_looked_at", time.time() - 60 * STALE)
        monkeypatch.setattr(log, "handle", lambda: pytest.fail("465 ms at 100,000 commits"))
    put(tables, 1)
    assert len(keys(open_tables(tmp_path), "predictions")) == 6


def test_where_the_last_known_entry_is_gone_after_a_quiet_minute_the_table_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = open_tables(tmp_path)
    put(tables, 0)
    log = tables.predictions
    others = open_tables(tmp_path)
    put(others, 1)
    others.predictions.handle().create_checkpoint()
    for path in log_of(tmp_path / "predictions").glob("*.json"):
        path.unlink()
    (log_of(tmp_path / "predictions") / "_last_checkpoint").unlink()  # it is a hint
    log.refresh()
    assert log.version == 1
    monkeypatch.setattr(log, "_looked_at", time.time() - 2 * STALE)
    log.refresh()
    assert log.version == 2


def test_a_table_that_changes_is_not_opened_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables, table = open_tables(tmp_path), tmp_path / "predictions"
    put(tables, 0)
    put_entry(table, with_column(table, "note"), protocol(4))
    monkeypatch.setattr(tables.predictions, "handle", lambda: pytest.fail("465 ms at 100,000 commits"))
    put(tables, 1)
    log, opened = tables.predictions, open_tables(tmp_path).predictions
    assert (log.version, log.schema, log.properties) == (opened.version, opened.schema, opened.properties)
    assert log.schema.names[-1] == "note" and log.transaction("app") == 1
