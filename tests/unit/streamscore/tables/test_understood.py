"""Tables that ask more of a writer than ours does: refused at the start, in a running stream and in maintenance."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.maintenance.compact import Budget, compact, not_ours_to_compact
from schemas.errors import ContractError
from schemas.settings import Tables as TablesSettings
from streamscore.tables.commit import commit
from streamscore.tables.housekeeping import append_events, checkpoint_logs
from streamscore.tables.tables import Tables
from streamscore.tables.writers import writer_of
from tests.support.crash import Crash, crash_at
from tests.support.log_kit import log_of, newest, protocol, put_entry, with_column, with_properties
from tests.support.tables_kit import FEED, a_batch, keys, open_tables, parts_of, rows_of

Action = Callable[[Path], dict[str, Any]]

# What another writer may put into the log, and what the error says of it.
OBSTACLES: dict[str, tuple[Action, str]] = {
    "column mapping": (lambda t: with_properties(t, delta__columnMapping__mode="name"), r"column mapping \(name\)"),
    "constraint": (lambda t: with_properties(t, delta__constraints__small="prediction < 1"), "the constraint small"),
    "partitions": (
        lambda t: {"metaData": with_properties(t)["metaData"] | {"partitionColumns": ["kind"]}},
        "is partitioned by kind",
    ),
    "not null": (lambda t: with_column(t, "kind", nullable=False), "column 'kind' as NOT NULL"),
    "not null within": (
        lambda t: with_column(
            t,
            "more",
            type={
                "type": "array",
                "containsNull": True,
                "elementType": {
                    "type": "struct",
                    "fields": [{"name": "x", "type": "long", "nullable": False, "metadata": {}}],
                },
            },
        ),
        "column 'more.elementType.x' as NOT NULL",
    ),
    "generated": (
        lambda t: with_column(t, "day", metadata={"delta.generationExpression": "CAST(landed_at AS DATE)"}),
        "column 'day', which is generated",
    ),
    "identity": (
        lambda t: with_column(t, "id", type="long", metadata={"delta.identity.start": 1}),
        "column 'id', which is an identity",
    ),
    "default": (lambda t: with_column(t, "note", metadata={"CURRENT_DEFAULT": "'x'"}), "which has a default"),
    "invariant": (lambda t: with_column(t, "kind", metadata={"delta.invariants": "{}"}), "which has an invariant"),
    "length": (
        lambda t: with_column(t, "kind", metadata={"__CHAR_VARCHAR_TYPE_STRING": "varchar(3)"}),
        "which has a greatest length",
    ),
    "some rule to come": (lambda t: with_column(t, "kind", metadata={"delta.later": "?"}), "which has delta.later"),
    "legacy identities": (lambda _: protocol(6, reader=2), "protocol version 2 for readers and 6 for writers"),
    "a later protocol": (lambda _: protocol(8), "protocol version 1 for readers and 8 for writers"),
    "row tracking": (
        lambda _: protocol(7, "appendOnly", "rowTracking", "domainMetadata"),
        "domainMetadata, rowTracking",
    ),
    "commit timestamps": (lambda _: protocol(7, "inCommitTimestamp"), "the feature inCommitTimestamp"),
    "deletion vectors": (lambda _: protocol(7, "deletionVectors", reader=3), "the feature deletionVectors"),
    "column defaults": (lambda _: protocol(7, "allowColumnDefaults"), "the feature allowColumnDefaults"),
    "clustering": (lambda _: protocol(7, "clustering", "domainMetadata"), "the feature clustering"),
    "type widening": (lambda _: protocol(7, "typeWidening", reader=3), "the feature typeWidening"),
    "a feature to come": (lambda _: protocol(7, "later"), "the feature later"),
}

obstacles = pytest.mark.parametrize(("action", "said"), OBSTACLES.values(), ids=OBSTACLES.keys())


def put(tables: Tables, number: int, rejects: int = 0) -> None:
    batch = a_batch(number)
    commit(parts_of(tables, batch, 3, rejects), batch, tables, writer_of(tables))


@obstacles
def test_a_table_that_asks_more_is_refused_at_the_start(tmp_path: Path, action: Action, said: str) -> None:
    open_tables(tmp_path)
    table = tmp_path / "predictions"
    put_entry(table, action(table))
    with pytest.raises(ContractError, match=rf"^{table} .*{said}.*--tables DIR$") as raised:
        open_tables(tmp_path)
    assert "\n" not in str(raised.value)


@obstacles
def test_a_table_that_gets_it_under_the_stream_ends_it_before_a_commit(
    tmp_path: Path, action: Action, said: str
) -> None:
    tables, table = open_tables(tmp_path), tmp_path / "predictions"
    put(tables, 0)
    before, batch = tables.predictions, a_batch(1)
    parts = parts_of(tables, batch)
    last = put_entry(table, action(table))
    with pytest.raises(ContractError, match=said):  # it was scored before, and is put right after
        before.append(parts.predictions, batch.app_id, 1, "")
    with pytest.raises(ContractError, match=said):
        commit(parts, batch, tables, writer_of(tables))
    assert newest(table) == last


@obstacles
def test_its_files_are_not_moved_together_and_its_log_gets_no_checkpoint(
    tmp_path: Path, action: Action, said: str
) -> None:
    tables, table = open_tables(tmp_path, every=1), tmp_path / "predictions"
    for number in range(5):
        put(tables, number)
    last = put_entry(table, action(table))
    of_table = Tables(tmp_path, FEED, TablesSettings()).predictions
    assert said.replace("\\", "") in not_ours_to_compact(of_table, of_table.handle())
    assert compact(of_table, 2**20, Budget()) == 0
    checkpoint_logs(tables)
    assert newest(table) == last and of_table.last_checkpoint() == -1


def test_moving_files_together_stops_where_the_table_gets_it_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables, table = open_tables(tmp_path), tmp_path / "predictions"
    for number in range(5):
        put(tables, number)
    of_table = tables.predictions.reopen()
    rearrange = of_table.rearrange

    def too_late(*arguments: Any) -> int:
        put_entry(table, protocol(7, "rowTracking", "domainMetadata"))
        return rearrange(*arguments)

    monkeypatch.setattr(of_table, "rearrange", too_late)
    assert compact(of_table, 2**20, Budget()) == 0
    assert newest(table) == 6


def test_a_type_to_come_ends_a_running_stream_with_one_line(tmp_path: Path) -> None:
    tables, table = open_tables(tmp_path), tmp_path / "predictions"
    put(tables, 0)
    put_entry(table, with_column(table, "where", type="geometry"))
    with pytest.raises(ContractError, match=r"has a column that streamscore does not know: .*geometry.*--tables DIR$"):
        put(tables, 1)


@pytest.mark.parametrize(
    "action",
    [
        lambda t: protocol(3),
        lambda t: protocol(4),
        lambda t: protocol(5, reader=2),
        lambda t: protocol(7, "appendOnly", "invariants", "checkConstraints", "changeDataFeed", "generatedColumns"),
        lambda t: protocol(7, "timestampNtz", reader=3),
        lambda t: with_properties(t, delta__columnMapping__mode="none", delta__logRetentionDuration="interval 9 days"),
        lambda t: with_properties(t, delta__appendOnly="true"),
        lambda t: with_column(t, "note", metadata={"comment": "somebody else's"}),
    ],
)
def test_what_asks_nothing_of_an_append_goes_on_with_our_own_puts(tmp_path: Path, action: Action) -> None:
    tables, table = open_tables(tmp_path), tmp_path / "predictions"
    put(tables, 0)
    put_entry(table, action(table))
    for number in range(1, 5):
        put(tables, number)
    assert tables.predictions.handle().history(1)[0]["engineInfo"] == "streamscore"
    again = open_tables(tmp_path)
    assert compact(again.predictions, 2**20, Budget()) == 5
    put(tables, 5)
    assert len(keys(again, "predictions")) == 18 and rows_of(again, "predictions").num_rows == 18


def test_a_feature_that_is_taken_away_again_is_no_obstacle(tmp_path: Path) -> None:
    tables, table = open_tables(tmp_path), tmp_path / "predictions"
    put_entry(table, with_properties(table, delta__constraints__small="prediction < 1"))
    with pytest.raises(ContractError):
        put(tables, 0)
    metadata = with_properties(table)["metaData"]
    del metadata["configuration"]["delta.constraints.small"]
    put_entry(table, {"metaData": metadata})
    put(tables, 0)
    assert len(keys(tables, "predictions")) == 3


def test_rejects_are_replaced_so_quarantine_is_refused_where_rows_may_only_be_added(tmp_path: Path) -> None:
    tables, table = open_tables(tmp_path), tmp_path / "quarantine"
    put_entry(table, with_properties(table, delta__appendOnly="true"))
    with pytest.raises(ContractError, match=r"quarantine has delta.appendOnly, and its rows are replaced at times"):
        put(tables, 0, rejects=1)
    with pytest.raises(ContractError):
        open_tables(tmp_path)


def test_rejects_of_an_earlier_try_are_not_replaced_in_a_table_that_asks_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables, table = open_tables(tmp_path), tmp_path / "quarantine"
    crash_at(monkeypatch, "predictions:before")
    with pytest.raises(Crash):
        put(tables, 0, rejects=1)
    monkeypatch.undo()
    last = put_entry(table, with_properties(table, delta__constraints__one="rows = 1"))
    with pytest.raises(ContractError, match="the constraint one"):
        put(tables, 0, rejects=2)
    assert newest(table) == last


def test_a_side_table_that_asks_more_is_refused_at_the_start_too(tmp_path: Path) -> None:
    append_events(open_tables(tmp_path), [{"kind": "swapped"}])
    table = tmp_path / "events"
    put_entry(table, with_column(table, "kind", nullable=False))
    with pytest.raises(ContractError, match=r"events has the column 'kind' as NOT NULL"):
        open_tables(tmp_path)


def test_an_entry_that_is_written_with_spaces_is_understood(tmp_path: Path) -> None:
    tables, table = open_tables(tmp_path), tmp_path / "predictions"
    put(tables, 0)
    last = put_entry(table, protocol(7, "rowTracking"))
    assert '{"protocol": {' in (log_of(table) / f"{last:020}.json").read_text()
    with pytest.raises(ContractError, match="rowTracking"):
        put(tables, 1)
