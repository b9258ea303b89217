"""One run owns the tables: whoever else starts, was taken over or has a copy of the checkpoint commits nothing."""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import ConflictError, RecoveryError
from streamscore.tables.batch import Batch
from streamscore.tables.commit import commit, committed
from streamscore.tables.deltalake_log import DeltalakeLog
from streamscore.tables.housekeeping import append_batch_rows
from streamscore.tables.owner import APP_IDS, OWNER, Owner
from streamscore.tables.recover import assert_known_checkpoint, processed_files
from streamscore.tables.tables import Tables
from streamscore.tables.writers import writer_of
from tests.support.crash import Crash, crash_at
from tests.support.log_kit import newest, put_entry, with_properties
from tests.support.tables_kit import a_batch, keys, open_tables, parts_of

Start = Callable[..., Tables]


@pytest.fixture(params=["own puts", "deltalake"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Start:
    """A driver's start: it opens the tables and takes them over, unless it is to be refused."""

    def begin(app_id: str, *, recover: bool = False) -> Tables:
        opened = open_tables(tmp_path)
        if request.param == "deltalake":
            for name in ("predictions", "quarantine"):
                opened._logs[name] = DeltalakeLog(opened.uri(name))
        assert_known_checkpoint(opened, app_id, is_new=False, recover=recover)
        opened.take_over(app_id, recover=recover)
        if recover:
            processed_files(opened, app_id)
        opened.reopen().register_checkpoint(app_id)
        return opened

    return begin


def put(tables: Tables, batch: Batch, rejects: int = 1) -> Any:
    return commit(parts_of(tables, batch, 3, rejects), batch, tables, writer_of(tables))


def assert_each_key_once(tables: Tables, files: int) -> None:
    predictions, rejects = keys(tables, "predictions"), keys(tables, "quarantine")
    assert len(predictions) == 3 * files == len(set(predictions))
    assert len(rejects) == files == len(set(rejects))


def test_of_two_checkpoints_over_the_same_empty_tables_the_second_is_refused(start: Start) -> None:
    first = start("first")
    with pytest.raises(ConflictError, match=r"belongs to checkpoint first \(process \d+ on .* since .*--recover"):
        start("second")
    put(first, a_batch(0, "a.csv", app_id="first"))
    assert_each_key_once(first, 1)


def test_of_replicas_that_start_at_once_over_new_tables_one_gets_them(start: Start, tmp_path: Path) -> None:
    open_tables(tmp_path)
    barrier, got, refused = threading.Barrier(4), list[str](), list[str]()

    def begin(app_id: str) -> None:
        barrier.wait()
        try:
            tables = start(app_id)
            got.append(app_id)
            barrier.wait()
            put(tables, a_batch(0, "a.csv", app_id=app_id))
        except ConflictError as error:
            refused.append(str(error))
            barrier.wait()

    replicas = [threading.Thread(target=begin, args=[f"app-{number}"]) for number in range(4)]
    for replica in replicas:
        replica.start()
    for replica in replicas:
        replica.join()
    assert len(got) == 1 and len(refused) == 3, (got, refused)
    assert_each_key_once(open_tables(tmp_path), 1)


def test_a_recovery_beside_a_live_driver_takes_the_tables_from_it(start: Start) -> None:
    live = start("live")
    put(live, a_batch(0, "a.csv", app_id="live"))
    scored = parts_of(live, a_batch(1, "b.csv", app_id="live"), 3, 1)
    second = start("second", recover=True)
    with pytest.raises(ConflictError, match=r"taken over by checkpoint second \(process"):
        commit(scored, a_batch(1, "b.csv", app_id="live"), live, writer_of(live))
    with pytest.raises(ConflictError, match="taken over"):  # known before it scores the next one
        committed(1, "live", a_batch(1).manifest.digest, live)
    put(second, a_batch(0, "b.csv", app_id="second"))
    assert_each_key_once(second, 2)


@pytest.mark.parametrize("table", ["quarantine", "predictions"])
def test_a_takeover_in_the_middle_of_a_commit_is_in_its_way(start: Start, table: str) -> None:
    live = start("live")
    put(live, a_batch(0, "a.csv", app_id="live"))
    writer, batch, taken = writer_of(live), a_batch(1, "b.csv", app_id="live"), list[Tables]()

    class TakenOver:
        replace, clear = writer.replace, writer.clear

        def append(self, log: Any, *rest: Any) -> int:
            if log.uri.endswith(table):
                taken.append(start("second", recover=True))
            return writer.append(log, *rest)

    with pytest.raises(ConflictError, match="taken over by checkpoint second"):
        commit(parts_of(live, batch, 3, 1), batch, live, TakenOver())
    put(taken[0], a_batch(0, "b.csv", app_id="second"))
    assert_each_key_once(taken[0], 2)


def test_rejects_are_not_replaced_by_a_driver_that_was_taken_over(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, batch = start("live"), a_batch(0, "a.csv", app_id="live")
    crash_at(monkeypatch, "predictions:before")
    with pytest.raises(Crash):
        put(live, batch)
    monkeypatch.undo()
    second, writer = start("second", recover=True), writer_of(live)
    own: dict[str, str | int] = {"app_id": "live", "batch_id": 0}
    with pytest.raises(ConflictError, match="taken over"):
        writer.replace(live.quarantine, own, parts_of(live, batch, 3, 2).rejects, "live", "")
    put(second, a_batch(0, "a.csv", app_id="second"))
    assert_each_key_once(second, 1)


def test_rejects_are_not_deleted_by_a_recovery_that_was_taken_over(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start("first")
    crash_at(monkeypatch, "predictions:before")
    with pytest.raises(Crash):
        put(first, a_batch(0, "a.csv", app_id="first"))
    monkeypatch.undo()
    first.take_over("slow", recover=True)
    start("second", recover=True)
    crash_at(monkeypatch, "predictions:before")
    with pytest.raises(ConflictError):
        put(first, a_batch(0, "a.csv", app_id="slow"))
    monkeypatch.undo()
    monkeypatch.setattr("streamscore.tables.recover._records", lambda _: [])  # read before the second began
    second = start("second")
    put(second, a_batch(0, "a.csv", app_id="second"))
    with pytest.raises(ConflictError, match="taken over by checkpoint second"):
        first.quarantine.handle_to_write()
    assert_each_key_once(second, 1)


def test_the_next_run_of_a_checkpoint_goes_on_and_a_copy_that_runs_still_does_not(start: Start) -> None:
    first = start("app")
    put(first, a_batch(0, "a.csv"))
    put(first, a_batch(1, "b.csv"))
    again = start("app")
    put(again, a_batch(2, "c.csv"))
    with pytest.raises(ConflictError, match=r"taken over by checkpoint app \(process"):
        put(first, a_batch(2, "c.csv"))
    with pytest.raises(ConflictError, match="taken over"):
        put(first, a_batch(3, "d.csv"))
    assert_each_key_once(again, 3)
    owner = again.reopen().owner
    assert owner is not None and (owner.number, owner.app_id) == (2, "app")


def test_a_checkpoint_that_was_recovered_from_is_refused_for_good(start: Start) -> None:
    put(start("old"), a_batch(0, "a.csv", app_id="old"))
    recovered = start("new", recover=True)
    with pytest.raises(ConflictError, match="belongs to checkpoint new"):
        start("old")
    put(recovered, a_batch(0, "b.csv", app_id="new"))
    assert_each_key_once(recovered, 2)


def test_a_recovery_that_crashed_before_its_ledger_keeps_all_out_but_another_recovery(
    start: Start, tmp_path: Path
) -> None:
    old = start("old")
    put(old, a_batch(0, "a.csv", app_id="old"))
    crashed = open_tables(tmp_path)
    crashed.take_over("crashed", recover=True)
    for app_id, kind in (("old", ConflictError), ("crashed", RecoveryError), ("third", RecoveryError)):
        with pytest.raises(kind):
            start(app_id)
    recovered = start("third", recover=True)
    assert [file.path for file in processed_files(recovered, "third")] == ["file:///in/a.csv"]
    assert recovered.reopen().app_ids == ["old", "third"]


def test_of_recoveries_at_once_one_has_both_tables(start: Start, tmp_path: Path) -> None:
    put(start("old"), a_batch(0, "a.csv", app_id="old"))
    barrier, got = threading.Barrier(3), list[tuple[str, Tables]]()

    def begin(app_id: str) -> None:
        barrier.wait()
        with contextlib.suppress(ConflictError):
            got.append((app_id, start(app_id, recover=True)))

    drivers = [threading.Thread(target=begin, args=[f"app-{number}"]) for number in range(3)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    done = []
    for app_id, tables in got:
        with contextlib.suppress(ConflictError):
            put(tables, a_batch(0, "b.csv", app_id=app_id))
            done.append(app_id)
    assert len(done) == 1
    tables = open_tables(tmp_path)
    for log in (tables.predictions, tables.quarantine):
        owner = Owner.of(log.properties)
        assert owner is not None and owner.app_id == done[0]
    assert_each_key_once(tables, 2)


def test_tables_of_an_earlier_version_are_taken_up_by_their_last_checkpoint(start: Start, tmp_path: Path) -> None:
    tables, table = open_tables(tmp_path), tmp_path / "predictions"
    for number, known in enumerate(("first", "first,last")):
        put_entry(table, with_properties(table, streamscore__app_id=known))
        put(tables, a_batch(0, f"{number}.csv", app_id=known.rpartition(",")[2]))
    with pytest.raises(ConflictError, match=r"belongs to checkpoint last \(an earlier version\)"):
        start("first")
    again = start("last")
    put(again, a_batch(1, "2.csv", app_id="last"))
    with pytest.raises(ConflictError, match="belongs to checkpoint last"):
        start("first")
    assert_each_key_once(again, 3)


def test_predictions_that_were_made_anew_are_taken_though_quarantine_names_an_owner(tmp_path: Path) -> None:
    import shutil

    for _ in range(3):
        open_tables(tmp_path).take_over("app", recover=False)
    shutil.rmtree(tmp_path / "predictions")
    tables = open_tables(tmp_path)
    tables.take_over("new", recover=False)
    put(tables, a_batch(0, "a.csv", app_id="new"))
    assert tables.owner is not None and tables.owner.number == 4


def test_a_run_whose_tables_lost_their_owner_ends(start: Start, tmp_path: Path) -> None:
    tables, table = start("app"), tmp_path / "predictions"
    metadata = with_properties(table)["metaData"]
    for name in (OWNER, APP_IDS):
        del metadata["configuration"][name]
    put_entry(table, {"metaData": metadata})
    with pytest.raises(ConflictError, match="was made anew by others"):
        put(tables, a_batch(0))


def test_what_others_do_beside_a_run_is_not_in_its_way(start: Start, tmp_path: Path) -> None:
    tables, table = start("app"), tmp_path / "predictions"
    put(tables, a_batch(0))
    put_entry(table, with_properties(table, note="somebody else's"))
    append_batch_rows(tables.reopen())
    tables.predictions.handle().optimize.compact()
    put(tables, a_batch(1))
    assert_each_key_once(tables, 2)


def test_a_micro_batch_adds_no_entry_for_the_owner(tmp_path: Path) -> None:
    tables = open_tables(tmp_path)
    tables.take_over("app", recover=False)
    before = newest(tmp_path / "predictions")
    put(tables, a_batch(0))
    assert newest(tmp_path / "predictions") == before + 1
