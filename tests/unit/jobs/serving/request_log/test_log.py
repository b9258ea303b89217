"""The log as a whole: requests in, rows in Delta tables out, each once, whatever happens in between."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from jobs.cli import main
from jobs.maintenance.maintain import Task, maintain
from jobs.serving.models.served_model import Answer
from jobs.serving.request_log import log as log_module
from jobs.serving.request_log import write
from jobs.serving.request_log.account import Balance, read_balance
from jobs.serving.request_log.log import RequestLog
from jobs.serving.request_log.queue import RecordQueue
from schemas.settings import Storage
from schemas.settings import Tables as TablesSettings
from services.object_store import ObjectStore
from streamscore.tables.read_table import read_table
from tests.support.fixture_types import Bucket
from tests.support.proxy import Proxy
from tests.support.request_kit import FEED, INPUTS, answered, requests_in, settings_of
from tests.support.wait import until

ROOT = Path(__file__).parents[5]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "SPOOL_SECONDS", 0.05)
    monkeypatch.setattr(log_module, "WRITE_SECONDS", 0.1)
    monkeypatch.setattr(write, "RETRY_SECONDS", 0.1)


def test_every_request_is_in_the_table_within_a_second(tmp_path: Path) -> None:
    log = RequestLog(settings_of(tmp_path))
    log.start()
    for number in range(500):
        log.done(answered(number))
    begun = time.monotonic()
    until(lambda: log.balance.waiting == 0, 10)
    assert time.monotonic() - begun < 1
    rows = requests_in(tmp_path)
    assert sorted((r["request_id"], r["raw_"], r["prediction"], r["request_number"]) for r in rows) == sorted(
        (f"id{n}", n, n / 4, n + 1) for n in range(500)
    )
    log.stop()
    assert log.balance == Balance(answered=500, logged=500)


def test_the_account_is_settled_by_sampling_and_by_what_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = RequestLog(settings_of(tmp_path, share=0.5))
    monkeypatch.setattr(log, "_queue", RecordQueue(most=50 * answered(0).weight))
    for number in range(400):
        log.done(answered(number))
    log.start()
    log.stop()
    found = log.balance
    assert (found.answered, found.logged, found.waiting) == (400, 50, 0)
    assert 100 < found.sampled_out < 300
    rows = requests_in(tmp_path)
    assert (len(rows), {row["sampling"] for row in rows}) == (50, {0.5})


def test_storage_that_is_away_costs_disk_and_no_memory(tmp_path: Path) -> None:
    wall = tmp_path / "tables"
    wall.write_text("a file where the folder of tables should be refuses every write")
    log = RequestLog(settings_of(tmp_path))
    log.start()
    tracemalloc.start()
    used = []
    for number in range(6_000):
        log.done(answered(number))
        if number % 50 == 49:
            time.sleep(0.01)
        if number % 1000 == 999:
            until(lambda: log._queue.size == 0, 10)
            used.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert max(used[2:]) < used[1] + 300_000, used  # the requests are 5 MB
    assert log.balance.logged == 0
    assert log.balance.lost == 0
    wall.unlink()
    until(lambda: log.balance.waiting == 0, 20)
    log.stop()
    assert Counter(row["request_id"] for row in requests_in(tmp_path)) == {f"id{n}": 1 for n in range(6_000)}


def test_a_spool_that_is_full_loses_what_it_counts(tmp_path: Path) -> None:
    (tmp_path / "tables").write_text("")
    log = RequestLog(settings_of(tmp_path, spool_bytes=1))
    log.start()
    for number in range(100):
        log.done(answered(number))
        time.sleep(0.005)
    log.stop()
    assert log.balance.lost > 0
    (tmp_path / "tables").unlink()
    again = RequestLog(settings_of(tmp_path))
    again.start()
    again.stop()
    found = again.balance
    assert (found.answered, found.waiting, found.lost) == (100, 0, log.balance.lost)
    assert len(requests_in(tmp_path)) == found.logged > 0


KILLED = """
import sys, time
from pathlib import Path
from jobs.serving.request_log import log as log_module
from jobs.serving.request_log.log import RequestLog
from schemas.settings import Storage
from schemas.settings import Tables as TablesSettings
from services.object_store import ObjectStore
from streamscore.tables.read_table import read_table
from tests.support.fixture_types import Bucket
from tests.support.proxy import Proxy
from tests.support.request_kit import answered, settings_of
log_module.SPOOL_SECONDS = 0.05
log = RequestLog(settings_of(Path(sys.argv[1])))
log.start()
for number in range(1_000_000):
    log.done(answered(number))
    print(number + 1, flush=True)
    time.sleep(0.0005)
"""


def test_after_a_kill_the_account_is_settled_and_nothing_is_there_twice(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdout=subprocess.PIPE, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
    )  # fmt: skip
    assert process.stdout
    process.stdout.readline()
    until(lambda: any((tmp_path / "spool/0").glob("*.parquet")), 20)
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    at_least = int(process.stdout.read().split()[-1])
    process.wait()
    log = RequestLog(settings_of(tmp_path))
    log.start()
    log.stop()
    found = log.balance
    assert found.waiting == 0
    assert 0 <= found.answered - at_least <= 2
    rows = requests_in(tmp_path)
    assert len(rows) == len({row["request_id"] for row in rows}) == found.logged
    assert found.logged + found.lost == found.answered
    assert found.logged > 0
    assert len({(row["app_id"], row["request_number"]) for row in rows}) == len(rows)
    assert read_balance(tmp_path / "spool" / "0") == found


def test_several_processes_write_one_table_and_what_a_dead_one_left_goes_in_too(tmp_path: Path) -> None:
    (tmp_path / "tables").write_text("")
    logs = [RequestLog(settings_of(tmp_path)) for _ in range(3)]
    assert [log.spool.folder.path.name for log in logs] == ["0", "1", "2"]
    for log in logs:
        log.start()
    for number in range(300):
        logs[number % 3].done(answered(number))
    until(lambda: all(log._queue.size == 0 for log in logs), 10)
    for log in logs:
        log.stop()
    (tmp_path / "tables").unlink()
    again = [RequestLog(settings_of(tmp_path)) for _ in range(2)]  # one worker: spools from 1 on are of nobody
    for log in again:
        log.start()
        log.done(answered(300 + again.index(log)))
    for log in again:
        log.stop()
    ids = [row["request_id"] for row in requests_in(tmp_path)]
    assert sorted(ids) == sorted(f"id{n}" for n in range(302))
    balances = [read_balance(path) for path in (tmp_path / "spool").iterdir()]
    assert Balance.of(balances) == Balance(answered=302, logged=302)


def test_maintenance_makes_few_files_of_many_and_the_log_goes_on(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    for number in range(6):
        log = RequestLog(settings)
        log.start()
        log.done(answered(number))
        log.stop()
    report = maintain(Task.of(FEED, settings))
    (done,) = report.tables
    assert (done.table, done.before.files, done.after.files) == ("requests", 6, 1)
    log = RequestLog(settings)
    log.start()
    log.done(answered(6))
    log.stop()
    assert sorted(row["request_id"] for row in requests_in(tmp_path)) == [f"id{n}" for n in range(7)]


def test_old_requests_go_while_the_log_goes_on_and_none_comes_back(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    kept = settings.model_copy(update={"request_log": settings.request_log.model_copy(update={"keep_days": 30.0})})
    log = RequestLog(settings)
    log.start()
    for number in range(6):
        record = answered(number)
        record.at -= (40 if number < 3 else 20) * 86_400 * 10**9
        log.done(record)
    until(lambda: len(requests_in(tmp_path)) == 6, 5)
    uri = next((tmp_path / "tables").rglob("requests"))
    newest = DeltaTable(uri).transaction_version(log.spool.app_id)
    before = [row for row in requests_in(tmp_path) if row["request_id"] >= "id3"]
    (planned,) = maintain(Task.of(FEED, kept), dry_run=True).tables
    assert (planned.expired, len(requests_in(tmp_path))) == (3, 6)
    (done,) = maintain(Task.of(FEED, kept)).tables
    assert done.expired == 3
    (again,) = maintain(Task.from_json(Task.of(FEED, kept).to_json())).tables
    assert again.expired == 0
    assert requests_in(tmp_path) == before
    assert DeltaTable(uri).transaction_version(log.spool.app_id) == newest
    log.done(answered(6))
    log.stop()
    assert sorted(row["request_id"] for row in requests_in(tmp_path)) == ["id3", "id4", "id5", "id6"]
    assert read_balance(tmp_path / "spool" / "0") == Balance(answered=7, logged=7)


def test_the_command_maintains_the_requests_of_models_without_a_feed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREAMSCORE_REQUEST_LOG__KEEP_DAYS", "1")
    for number in range(5):
        log = RequestLog(settings_of(tmp_path))
        log.start()
        record = answered(number)
        assert record.scored
        record.scored = replace(record.scored, inputs=replace(INPUTS, feed=FEED.model_copy(update={"name": ""})))
        record.at -= 2 * 86_400 * 10**9 * (number == 0)
        log.done(record)
        log.stop()
    with pytest.raises(SystemExit) as ended:
        main(["maintain", "serving", "--tables", str(tmp_path / "tables/serving")])
    assert not ended.value.code
    said = capsys.readouterr().out
    assert "requests: 1 old rows deleted" in said
    assert sorted(row["request_id"] for row in requests_in(tmp_path, "serving")) == ["id1", "id2", "id3", "id4"]
    assert len(DeltaTable(tmp_path / "tables/serving/requests").file_uris()) == 1


def test_a_table_with_other_types_keeps_what_does_not_fit_as_text(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    log = RequestLog(settings)
    log.start()
    log.done(answered(0))
    until(lambda: log.balance.logged == 1, 10)
    other = answered(1)
    assert other.scored
    labels = Answer(pa.array(["good"]))
    log.done(replace(other, scored=replace(other.scored, output=pa.string(), answer=labels)))
    log.stop()
    rows = {row["request_id"]: (row["prediction"], row["raw"]) for row in requests_in(tmp_path)}
    assert rows == {"id0": (0.0, None), "id1": (None, "prediction: good")}


def test_a_description_that_the_disk_lost_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "tables").write_text("")
    log = RequestLog(settings_of(tmp_path))
    log.start()
    log.done(answered(0))
    log.stop()
    (described,) = (tmp_path / "spool/0").glob("*.json")
    described.write_bytes(b"")
    (tmp_path / "tables").unlink()
    again = RequestLog(settings_of(tmp_path))
    again.start()
    again.done(answered(1))
    again.stop()
    assert [row["request_id"] for row in requests_in(tmp_path)] == ["id1"]
    assert (again.balance.answered, again.balance.waiting) == (2, 0)


def test_a_table_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    log = RequestLog(settings_of(tmp_path))
    log.start()
    log.done(answered(0))
    until(lambda: log.balance.logged == 1, 10)
    shutil.rmtree(tmp_path / "tables")
    log.done(answered(1))
    until(lambda: log.balance.logged == 2, 20)
    log.stop()
    assert [row["request_id"] for row in requests_in(tmp_path)] == ["id1"]


def test_a_store_that_is_away_or_whose_answers_are_lost_gets_each_request_once(
    bucket: Bucket, storage: Storage, object_store: ObjectStore, tmp_path: Path
) -> None:
    proxy = Proxy(object_store.endpoint)
    tables = TablesSettings(path=f"{bucket.uri}/tables/{{feed}}")
    behind = storage.model_copy(update={"endpoint": proxy.endpoint})
    settings = settings_of(tmp_path).model_copy(update={"tables": tables, "storage": behind})
    log = RequestLog(settings)
    log.start()
    log.done(answered(0))
    until(lambda: log.balance.logged == 1, 30)
    entry = re.compile(r"_delta_log/\d+\.json")
    lost = iter([True])
    proxy.lost_answers = lambda asked: asked.method == "PUT" and bool(entry.search(asked.target)) and next(lost, False)
    log.done(answered(1))
    until(lambda: log.balance.logged == 2, 60)
    proxy.down = True
    for number in range(2, 40):
        log.done(answered(number))
        time.sleep(0.02)
    assert log.balance.logged == 2
    proxy.down = False
    until(lambda: log.balance.waiting == 0, 60)
    log.stop()
    proxy.close()
    read = settings.model_copy(update={"storage": storage})
    found = read_table(FEED, "requests", columns=["request_id"], settings=read)["request_id"].to_pylist()
    assert sorted(found) == sorted(f"id{n}" for n in range(40))
