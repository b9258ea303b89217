"""Lost checkpoints: refused without --recover, and with it every file is scored once; and kills on demand."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobs.streaming.checkpoint import Checkpoint
from schemas.errors import ConflictError, RecoveryError, SettingsError
from schemas.settings import Tables as TablesSettings
from streamscore import failpoints
from streamscore.storage.folder import LocalFolder
from streamscore.storage.lease import NoLease
from streamscore.tables.batch import Batch
from streamscore.tables.commit import commit
from streamscore.tables.housekeeping import append_batch_rows
from streamscore.tables.recover import assert_known_checkpoint, processed_files
from streamscore.tables.tables import Tables
from streamscore.tables.writers import writer_of
from tests.support.crash import Crash, crash_at
from tests.support.finder_kit import write_offset
from tests.support.tables_kit import FEED, a_batch, keys, open_tables, parts_of, rows_of
from tests.support.wait import HANG_SECONDS


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return open_tables(tmp_path)


def put(tables: Tables, *batches: Any, rows: int = 3, rejects: int = 0) -> None:
    for batch in batches:
        commit(parts_of(tables, batch, rows, rejects), batch, tables, writer_of(tables))


def crash_between_the_commits(tables: Tables, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    crash_at(monkeypatch, "predictions:before")
    with pytest.raises(Crash):
        put(tables, batch, rejects=2)
    monkeypatch.undo()


def test_a_new_checkpoint_is_taken_by_tables_without_rows(tmp_path: Path) -> None:
    assert_known_checkpoint(Tables(tmp_path / "none", FEED, TablesSettings()), "app", is_new=True)
    tables = open_tables(tmp_path)
    assert_known_checkpoint(tables, "app", is_new=True)
    put(tables, a_batch(0), rows=0)
    assert_known_checkpoint(tables, "other", is_new=True)


@pytest.mark.parametrize(("rows", "rejects"), [(3, 0), (0, 1)])
def test_a_new_checkpoint_is_refused_by_tables_with_rows(tables: Tables, rows: int, rejects: int) -> None:
    put(tables, a_batch(0), rows=rows, rejects=rejects)
    with pytest.raises(RecoveryError, match=r"have rows and checkpoint new-app is new; .*run kit --recover"):
        assert_known_checkpoint(tables, "new-app", is_new=True)
    assert_known_checkpoint(tables, "new-app", is_new=True, recover=True)


def test_a_checkpoint_is_known_by_its_commits_or_by_the_tables_property(tables: Tables) -> None:
    put(tables, a_batch(0))
    assert_known_checkpoint(tables.reopen(), "app", is_new=False)
    tables.register_checkpoint("another")
    tables.register_checkpoint("another")
    assert_known_checkpoint(tables.reopen(), "another", is_new=False)
    assert tables.reopen().app_ids == ["another"]


def test_a_checkpoint_with_micro_batches_is_refused_by_tables_that_have_none_of_them(tables: Tables) -> None:
    with pytest.raises(RecoveryError, match=r"has done micro-batch 7, and the tables in .* have none of it"):
        assert_known_checkpoint(tables, "app", is_new=False, last_commit=7)


@pytest.mark.parametrize("fold", [False, True])
def test_all_files_of_predictions_commits_are_known_after_recovery(tables: Tables, fold: bool) -> None:
    put(tables, a_batch(0, "a.csv", "b.csv"), a_batch(1, "c.csv"), rejects=1)
    if fold:
        append_batch_rows(tables)
    put(tables, a_batch(2, "d.csv", app_id="app"))
    files = processed_files(tables.reopen(), "new-app")
    assert sorted(file.path[-5:] for file in files) == ["a.csv", "b.csv", "c.csv", "d.csv"]
    assert {file.content for file in files} == {(100, 1000, "")}


def test_files_are_known_after_recovery_when_the_log_was_cleaned(tables: Tables) -> None:
    put(tables, a_batch(0, "a.csv"), a_batch(1, "b.csv"))
    append_batch_rows(tables)
    tables.predictions.handle().create_checkpoint()
    for entry in Path(tables.uri("predictions"), "_delta_log").glob("*.json"):
        entry.unlink()
    assert len(processed_files(tables.reopen(), "new-app")) == 2


def test_recovery_after_a_crash_between_the_commits_leaves_no_reject_twice(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tables, a_batch(0), rejects=1)
    crash_between_the_commits(tables, a_batch(1), monkeypatch)
    assert len(keys(tables, "quarantine")) == 3
    files = processed_files(tables.reopen(), "new-app")
    assert [file.path for file in files] == ["file:///in/0.csv"]
    assert keys(tables, "quarantine") == [("0.csv", 5)]
    put(tables, a_batch(0, "1.csv", app_id="new-app"), rejects=2)
    assert len(set(keys(tables, "quarantine"))) == 3 == len(keys(tables, "quarantine"))


def test_recovery_keeps_rejects_of_a_batch_whose_record_is_lost(tables: Tables) -> None:
    put(tables, a_batch(0), a_batch(1), rejects=1)
    tables.predictions.handle().create_checkpoint()
    Path(tables.uri("predictions"), f"_delta_log/{1:020}.json").unlink()
    processed_files(tables.reopen(), "new-app")
    assert len(keys(tables, "quarantine")) == 2


def test_recovery_is_an_event_and_can_be_run_again(tables: Tables) -> None:
    put(tables, a_batch(0))
    assert processed_files(tables, "new-app") == processed_files(tables, "new-app")
    event = rows_of(tables, "events").to_pylist()[0]
    assert (event["kind"], event["app_id"]) == ("recovered", "new-app") and "1 files in 1 batches" in event["detail"]


def test_a_checkpoint_whose_recovery_crashed_is_not_known(tables: Tables) -> None:
    put(tables, a_batch(0))
    processed_files(tables, "new-app")  # a crash comes before its ledger is written
    with pytest.raises(RecoveryError):
        assert_known_checkpoint(tables.reopen(), "new-app", is_new=False)


@pytest.mark.parametrize(
    ("noted", "planned", "spark_done", "in_tables", "left"),
    [
        ("0", 1, 0, [0], [0]),  # planned by a start that was never ready
        ("-1", 0, -1, [], []),
        ("1", 1, 0, [0], [0, 1]),  # a crash before it had planned that already
        (None, 1, 0, [0], [0, 1]),  # it was ready
        ("0", 1, 0, [0, 1], [0, 1]),  # it was ready, and the note came back after a power cut
        ("0", 1, 1, [0, 1], [0, 1]),
    ],
)
def test_what_a_start_planned_that_was_never_ready_is_forgotten(
    tmp_path: Path,
    tables: Tables,
    noted: str | None,
    planned: int,
    spark_done: int,
    in_tables: list[Any] | list[int],
    left: list[Any] | list[int],
) -> None:
    folder = LocalFolder(tmp_path / "checkpoint")
    checkpoint = Checkpoint(folder, a_batch(0).app_id, False, NoLease())
    for log, newest in (("offsets", planned), ("commits", spark_done)):
        (folder.path / log).mkdir(parents=True)
        for number in range(newest + 1):
            folder.write(f"{log}/{number}", b"v1")
            folder.write(f"{log}/.{number}.crc", b"crc")
    put(tables, *map(a_batch, in_tables))
    if noted is not None:
        folder.write("starting", noted.encode())
    checkpoint.discard_unscored_plan(open_tables(tmp_path))
    assert sorted(map(int, folder.names("offsets"))) == left
    assert len(list((folder.path / "offsets").glob(".*.crc"))) == len(left)


@pytest.mark.parametrize(("planned", "refused"), [(-1, True), (0, True), (1, False), (2, False)])
def test_an_older_copy_of_a_checkpoint_is_refused_before_it_takes_the_tables(
    tmp_path: Path, tables: Tables, planned: int, refused: bool
) -> None:
    put(tables, a_batch(0), a_batch(1))
    folder = LocalFolder(tmp_path / "checkpoint")
    checkpoint = Checkpoint(folder, a_batch(0).app_id, False, NoLease())
    for name in ("offsets", "commits"):
        (folder.path / name).mkdir(parents=True)
    for number in range(planned + 1):
        folder.write(f"offsets/{number}", b"v1")
    kind = ConflictError if refused else RecoveryError  # these have no metadata
    said = "the tables have its micro-batch 1: it is an older copy" if refused else "metadata is missing"
    with pytest.raises(kind, match=said):
        checkpoint.assert_whole(tables.reopen())


@pytest.mark.parametrize("spec", ["nowhere:before", "offset", "offset:now", "offset:before:x"])
def test_a_fail_point_that_does_not_exist_is_refused(spec: str) -> None:
    with pytest.raises(SettingsError, match=r"STREAMSCORE_FAIL_AT is .* wanted"):
        failpoints.arm(spec)


def test_fail_points_are_off_until_they_are_armed() -> None:
    failpoints.arm("")
    failpoints.fail_at("predictions:before", 0)


@pytest.mark.parametrize(
    ("spec", "last"), [("predictions:before", 0), ("predictions:before:2", 2), ("ledger:after", 3), ("", 3)]
)
def test_an_armed_fail_point_kills_the_driver_at_its_batch(spec: str, last: int) -> None:
    code = f"""
from streamscore.failpoints import arm, fail_at
arm({spec!r})
for batch in range(4):
    print(batch, flush=True)
    fail_at("predictions:before", batch)
fail_at("ledger:before", None)
fail_at("ledger:after", None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, start_new_session=True)
    assert done.stdout.split()[-1] == str(last)
    assert done.returncode == (-signal.SIGKILL if spec else 0)


def test_a_worker_takes_the_driver_and_what_it_started_along() -> None:
    code = """
import os, subprocess, sys, time
jvm = subprocess.Popen(["sleep", "60"])
worker = '''
import sys
from streamscore.failpoints import arm, fail_at
arm("offset:before", int(sys.argv[1]))
fail_at("offset:before")
'''
print(jvm.pid, flush=True)
subprocess.Popen([sys.executable, "-c", worker, str(os.getpid())], start_new_session=True)
time.sleep(60)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, start_new_session=True, timeout=HANG_SECONDS
    )
    assert done.returncode == -signal.SIGKILL
    state = Path(f"/proc/{done.stdout.strip()}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


@pytest.mark.parametrize(
    ("emptied", "said"),
    [
        ("metadata", "metadata is empty"),
        ("offsets/1", "offsets/1 is damaged"),
        ("commits/0", "commits/0 is empty"),
    ],
)
def test_a_checkpoint_of_which_a_power_cut_emptied_the_newest_files_is_refused(
    tmp_path: Path, tables: Tables, emptied: str, said: str
) -> None:
    folder, batches = LocalFolder(tmp_path / "checkpoint"), [a_batch(0), a_batch(1)]
    checkpoint = Checkpoint(folder, batches[0].app_id, False, NoLease())
    for log in ("offsets", "commits"):
        folder.at(log).make()
    folder.write("metadata", b'{"id":"of the query"}')
    folder.write("commits/0", b"v1\n{}")
    for batch in batches:
        write_offset(folder, batch.manifest)
    put(tables, *batches)
    folder.open_journal("ledger").append(b'{"seq":0,"files":[]}')
    checkpoint.assert_whole(tables)
    folder.write(emptied, b"")
    with pytest.raises(RecoveryError, match=rf"is not whole: {said}; .*--recover"):
        checkpoint.assert_whole(tables)


@pytest.mark.parametrize(
    ("empty", "in_tables", "left"),
    [
        ([], 4, (3, 3)),
        (["commits/3"], 4, (3, 2)),  # batch 3 runs again, and is in
        (["commits/3", "offsets/3"], 3, (2, 2)),
        (["offsets/3", "commits/3", "commits/2"], 3, (2, 1)),
        (["offsets/3", "commits/3", "offsets/2", "commits/2"], 2, (1, 1)),
        (["offsets/3", "-commits/3"], 3, (2, 2)),
        (["commits/3", "-offsets/3"], 3, (2, 2)),
        (["-commits/3", "offsets/3"], 4, None),  # in the tables, and nothing says with which files
        (["offsets/3"], 3, None),  # its commit is whole
    ],
)
def test_what_a_power_cut_emptied_at_the_end_of_sparks_logs_is_made_anew_or_refused(
    tmp_path: Path, tables: Tables, empty: list[str], in_tables: int, left: tuple[int, int] | None
) -> None:
    folder, batches = LocalFolder(tmp_path / "checkpoint"), [a_batch(number) for number in range(4)]
    checkpoint = Checkpoint(folder, batches[0].app_id, False, NoLease())
    for log in ("offsets", "commits"):
        folder.at(log).make()
    folder.write("metadata", b'{"id":"of the query"}')
    for batch in batches:
        write_offset(folder, batch.manifest)
        folder.write(f"commits/{batch.batch_id}", b"v1\n{}")
        folder.open_journal("ledger").append(json.dumps(batch.manifest.to_offset()).encode())
    put(tables, *batches[:in_tables])
    for name in empty:
        folder.delete(name[1:]) if name.startswith("-") else folder.write(name, b"\0" * (len(name) % 2))
    emptied = sorted(name for name in empty if not name.startswith("-"))
    forgotten = checkpoint.forget_torn(tables.reopen())
    if left is None:
        assert forgotten == []
        with pytest.raises((RecoveryError, ConflictError)):
            checkpoint.assert_whole(tables.reopen())
        return
    assert sorted(forgotten) == emptied
    checkpoint.assert_whole(tables.reopen())
    assert (checkpoint.last_offset, checkpoint.last_commit) == left
    assert checkpoint.forget_torn(tables.reopen()) == []


def test_a_query_whose_metadata_a_power_cut_emptied_is_refused(tmp_path: Path, tables: Tables) -> None:
    folder = LocalFolder(tmp_path / "checkpoint")
    folder.make()
    folder.write("metadata", b"")
    with pytest.raises(RecoveryError, match="metadata is empty"):
        Checkpoint(folder, "app", False, NoLease()).assert_whole(tables)


def test_a_table_of_which_a_power_cut_left_an_empty_first_entry_is_made_anew(tmp_path: Path) -> None:
    for table in ("predictions", "quarantine", "batches"):
        log = tmp_path / table / "_delta_log"
        log.mkdir(parents=True)
        (log / f"{0:020}.json").touch()
    tables = open_tables(tmp_path)
    put(tables, a_batch(0), rejects=1)
    assert append_batch_rows(tables) == 1
