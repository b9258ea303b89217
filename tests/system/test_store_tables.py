"""Commits to tables in object stores: once, whoever races and whatever answer gets lost."""

import contextlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from schemas.errors import ConflictError, StorageError
from schemas.settings import Storage
from schemas.settings import Tables as TablesSettings
from services.object_store import ObjectStore
from streamscore.storage.bucket import BucketFolder
from streamscore.storage.object_store import delta_options
from streamscore.storage.retry import retry_storage
from streamscore.tables import own_put_log
from streamscore.tables.batch import Batch
from streamscore.tables.commit import Commit, commit, committed
from streamscore.tables.delta_log import DeltaLog
from streamscore.tables.deltalake_log import DeltalakeLog
from streamscore.tables.housekeeping import append_batch_rows, checkpoint_logs
from streamscore.tables.own_put_log import OwnPutLog
from streamscore.tables.parts import Part, Parts, PartsWriter
from streamscore.tables.tables import Tables
from streamscore.tables.writers import writer_of
from tests.support.crash import Crash, crash_at
from tests.support.fixture_types import Bucket
from tests.support.proxy import Proxy, Request
from tests.support.tables_kit import FEED, LANDING, a_batch, entries, keys, rows_of, scored

pytestmark = pytest.mark.system


def open_tables(bucket: Bucket, storage: Storage, *, own_puts: bool = True, every: int = 100) -> Tables:
    """The tables of the test, as a driver that just started opens them."""
    tables = Tables(f"{bucket.uri}/my tables", FEED, TablesSettings(checkpoint_every=every), storage)
    tables.create(pa.float64())
    if not own_puts:
        for name in ("predictions", "quarantine"):
            tables._logs[name] = DeltalakeLog(tables.uri(name), storage)
    return tables


@pytest.fixture(params=["own puts", "deltalake"])
def reopen(request: pytest.FixtureRequest, bucket: Bucket, storage: Storage) -> Callable[[], Tables]:
    """Opens the tables of the test, with either way to put a commit."""
    return lambda: open_tables(bucket, storage, own_puts=request.param == "own puts")


@pytest.fixture
def tables(reopen: Callable[[], Tables]) -> Tables:
    return reopen()


@pytest.fixture
def proxy(object_store: ObjectStore) -> Iterator[Proxy]:
    with contextlib.closing(Proxy(object_store.endpoint)) as made:
        yield made


@pytest.fixture
def behind_proxy(storage: Storage, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """The store through the proxy, for what lets other threads, and so the proxy, run while it waits for an answer.

    `deltalake` 1.6.6 does not in `is_deltatable`, `history` and `write_deltalake`: no rejects are replaced here.
    """

    def is_deltatable(uri: str, options: dict[str, str] | None = None) -> bool:
        return bool(BucketFolder(f"{uri}/_delta_log", storage).names())

    monkeypatch.setattr(DeltaTable, "is_deltatable", is_deltatable)
    return storage.model_copy(update={"endpoint": proxy.endpoint})


def parts_of(tables: Tables, batch: Batch, rows: int = 3, rejects: int = 0) -> Parts:
    work: Any = SimpleNamespace(feed=FEED, batch=batch, folders=tables.folders, landing=LANDING, storage=tables.storage)
    writer = PartsWriter(work)
    for file in batch.manifest.files:
        writer.add(*scored(file.path.removeprefix(f"{LANDING}/"), rows, rejects))
    return writer.finish()


def put(tables: Tables, batch: Batch, rows: int = 3, rejects: int = 0) -> Commit:
    return commit(parts_of(tables, batch, rows, rejects), batch, tables, writer_of(tables))


def is_in(batch: Batch, tables: Tables) -> bool:
    return committed(batch.batch_id, batch.app_id, batch.manifest.digest, tables)


def is_entry(request: Request) -> bool:
    """Whether a request puts a commit of predictions."""
    return request.method == "PUT" and "predictions/_delta_log/0" in request.target


@pytest.mark.both_stores
def test_batches_follow_each_other_and_anybody_reads_them(tables: Tables, storage: Storage) -> None:
    for number in range(3):
        assert not is_in(a_batch(number), tables)
        done = put(tables, a_batch(number), rows=2, rejects=1)
        assert (done.version, done.skipped, done.rows, done.rejects) == (number + 1, False, 2, 1)
    assert len(keys(tables, "predictions")) == 6 and len(keys(tables, "quarantine")) == 3
    read = DeltaTable(tables.uri("predictions"), storage_options=delta_options(storage))
    assert sorted(read.to_pyarrow_table()["batch_id"].to_pylist()) == [0, 0, 1, 1, 2, 2]
    assert read.transaction_version("app") == 2
    body = json.loads(read.history(1)[0]["userMetadata"])["streamscore"]
    assert (body["batch_id"], body["rows"], body["rejects"]) == (2, 2, 1)


@pytest.mark.both_stores
def test_a_batch_is_in_once(tables: Tables, reopen: Callable[[], Tables]) -> None:
    late = reopen()
    parts = parts_of(late, a_batch(0)).predictions
    put(tables, a_batch(0), rejects=1)
    with pytest.raises(ConflictError, match=r"transaction 0 of app cannot be committed, 0 is in"):
        late.predictions.append(parts, "app", 0, "late")
    with pytest.raises(ConflictError, match=r"transaction 0 of app"):
        tables.predictions.append(parts, "app", 0, "again")
    assert put(reopen(), a_batch(0), rejects=1).skipped
    with pytest.raises(ConflictError, match=r"digest .* --recover"):
        put(reopen(), a_batch(0, "other.csv"))
    assert len(keys(tables, "predictions")) == 3 and len(keys(tables, "quarantine")) == 1


@pytest.mark.both_stores
@pytest.mark.parametrize("own_puts", [True, False])
def test_of_drivers_that_race_for_each_batch_one_wins(bucket: Bucket, storage: Storage, own_puts: bool) -> None:
    drivers, batches = 4, 50 if own_puts else 8
    tables = open_tables(bucket, storage)
    opened = OwnPutLog if own_puts else DeltalakeLog
    logs: list[DeltaLog] = [opened(tables.uri("predictions"), storage) for _ in range(drivers)]
    batch = a_batch(0)
    parts: list[list[tuple[Part, ...]]] = [
        [parts_of(tables, batch, 1).predictions for _ in range(drivers)] for _ in range(batches)
    ]

    def race(log: DeltaLog, number: int, mine: tuple[Part, ...]) -> bool:
        try:
            log.append(mine, "app", number, f"driver {logs.index(log)}, batch {number}")
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(drivers) as pool:
        for number in range(batches):
            won = list(pool.map(race, logs, [number] * drivers, parts[number]))
            assert won.count(True) == 1, (number, won)
    assert rows_of(tables, "predictions").num_rows == batches == entries(tables, "predictions")
    won_by = [entry.metadata or "" for entry in tables.predictions.reopen().entries(0)]
    assert [int(text.rpartition(" ")[2]) for text in won_by] == list(range(batches))


@pytest.mark.both_stores
def test_of_whole_commits_that_race_one_wins(bucket: Bucket, storage: Storage) -> None:
    drivers = [open_tables(bucket, storage) for _ in range(4)]

    def race(mine: Tables, number: int) -> str:
        try:
            return "skipped" if put(mine, a_batch(number), 3, 2).skipped else "won"
        except ConflictError:
            return "conflict"

    with ThreadPoolExecutor(4) as pool:
        for number in range(5):
            outcome = list(pool.map(race, drivers, [number] * 4))
            assert outcome.count("won") == 1, outcome
            assert all(is_in(a_batch(number), one) for one in drivers)
    assert len(keys(drivers[0], "predictions")) == 15 == len(set(keys(drivers[0], "predictions")))
    assert len(keys(drivers[0], "quarantine")) == 10 == len(set(keys(drivers[0], "quarantine")))


@pytest.mark.both_stores
def test_a_driver_that_was_taken_over_commits_nothing_more(reopen: Callable[[], Tables]) -> None:
    first, second = reopen(), reopen()
    first.take_over("first", recover=False)
    put(first, a_batch(0, "a.csv", app_id="first"), rejects=1)
    with pytest.raises(ConflictError, match="belongs to checkpoint first"):
        second.take_over("second", recover=False)
    second.take_over("second", recover=True)
    with pytest.raises(ConflictError, match="taken over by checkpoint second"):
        put(first, a_batch(1, "b.csv", app_id="first"), rejects=1)
    put(second, a_batch(0, "b.csv", app_id="second"), rejects=1)
    assert keys(reopen(), "predictions") == [(file, line) for file in ("a.csv", "b.csv") for line in (2, 3, 4)]
    assert keys(reopen(), "quarantine") == [("a.csv", 5), ("b.csv", 5)]


@pytest.mark.both_stores
def test_of_starts_at_once_over_new_tables_one_gets_them(reopen: Callable[[], Tables]) -> None:
    drivers = [reopen() for _ in range(4)]

    def start(number: int) -> bool:
        try:
            drivers[number].take_over(f"app-{number}", recover=False)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(start, range(4)))
    assert got.count(True) == 1, got
    owner = reopen().owner
    assert owner is not None and owner.app_id == f"app-{got.index(True)}"


@pytest.mark.both_stores
def test_rejects_of_an_earlier_try_are_replaced(
    tables: Tables, reopen: Callable[[], Tables], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tables, a_batch(0), rejects=1)
    crash_at(monkeypatch, "predictions:before")
    for driver in (tables, reopen()):
        with pytest.raises(Crash):
            put(driver, a_batch(1), rejects=3)
    monkeypatch.undo()
    put(reopen(), a_batch(1), rejects=2)
    assert keys(tables, "quarantine") == [("0.csv", 5), ("1.csv", 5), ("1.csv", 6)]
    assert len(keys(tables, "predictions")) == 6


@pytest.mark.both_stores
def test_a_batch_is_known_when_it_was_folded_and_the_log_was_cleaned(bucket: Bucket, storage: Storage) -> None:
    tables = open_tables(bucket, storage, every=5)
    for number in range(7):
        put(tables, a_batch(number), rejects=1)
    assert (append_batch_rows(tables), append_batch_rows(tables)) == (7, 0)
    checkpoint_logs(tables)
    assert tables.predictions.last_checkpoint() == 7
    log = tables.predictions.folder.at("_delta_log")
    for version in range(7):
        log.delete(f"{version:020}.json")
    again = open_tables(bucket, storage, every=5)
    assert all(is_in(a_batch(number), again) for number in range(7)) and not is_in(a_batch(7), again)
    put(again, a_batch(7))
    assert len(keys(again, "predictions")) == 24
    assert rows_of(again, "batches").num_rows == 7


def test_a_driver_that_slept_while_the_log_was_cleaned_commits_at_its_end(
    bucket: Bucket, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_put_log, "FRESH", 0.0)
    tables = open_tables(bucket, storage)
    sleeper, early = open_tables(bucket, storage), tables.predictions.reopen()
    for number in range(3):
        put(tables, a_batch(number))
    tables.predictions.handle().create_checkpoint()
    log = tables.predictions.folder.at("_delta_log")
    for version in range(3):
        log.delete(f"{version:020}.json")
    with pytest.raises(StorageError, match=r"version 1 is long past"):
        early.append([], "early", 0, "")  # without the refresh that every batch begins with
    assert log.read(f"{1:020}.json") is None
    assert put(sleeper, a_batch(3)).version == 4
    assert len(keys(tables, "predictions")) == 12


def test_a_commit_whose_answer_was_lost_is_in_once_and_is_ones_own(
    bucket: Bucket, behind_proxy: Storage, proxy: Proxy
) -> None:
    tables = open_tables(bucket, behind_proxy)
    put(tables, a_batch(0))
    lost = iter([True])
    proxy.lost_answers = lambda request: is_entry(request) and next(lost, False)
    done = put(tables, a_batch(1))
    assert (done.version, done.skipped) == (2, False) and next(lost, None) is None
    put(tables, a_batch(2))
    assert len(keys(tables, "predictions")) == 9 and entries(tables, "predictions") == 3


def test_a_commit_none_of_whose_answers_came_is_in_once_when_it_is_tried_again(
    bucket: Bucket, behind_proxy: Storage, proxy: Proxy
) -> None:
    tables = open_tables(bucket, behind_proxy)
    parts, batch, writer = parts_of(tables, a_batch(0)), a_batch(0), writer_of(tables)
    proxy.lost_answers = is_entry
    with pytest.raises(StorageError):
        commit(parts, batch, tables, writer)
    proxy.lost_answers = lambda request: False
    assert commit(parts, batch, tables, writer).skipped
    assert len(keys(tables, "predictions")) == 3 and entries(tables, "predictions") == 1


def test_a_commit_by_deltalake_whose_answer_was_lost_is_in_once(
    bucket: Bucket, behind_proxy: Storage, proxy: Proxy
) -> None:
    tables = open_tables(bucket, behind_proxy, own_puts=False)
    put(tables, a_batch(0))
    lost = iter([True])
    proxy.lost_answers = lambda request: is_entry(request) and next(lost, False)
    with pytest.raises(StorageError):  # it tries no PUT again; the batch is
        put(tables, a_batch(1))
    assert put(tables, a_batch(1)).skipped
    assert next(lost, None) is None
    put(tables, a_batch(2))
    assert len(keys(tables, "predictions")) == 9 == len(set(keys(tables, "predictions")))


def test_a_store_that_goes_away_is_a_storage_error_and_the_batch_is_in_once(
    bucket: Bucket, behind_proxy: Storage, proxy: Proxy
) -> None:
    tables = open_tables(bucket, behind_proxy)
    put(tables, a_batch(0), rejects=1)
    proxy.down = True
    with pytest.raises(StorageError):
        put(tables, a_batch(1), rejects=1)
    with pytest.raises(StorageError):
        is_in(a_batch(1), tables)
    proxy.down = False
    put(tables, a_batch(1), rejects=1)
    assert len(keys(tables, "predictions")) == 6 and len(keys(tables, "quarantine")) == 2


def test_an_entry_whose_answer_is_cut_off_is_a_storage_error(
    bucket: Bucket, behind_proxy: Storage, proxy: Proxy
) -> None:
    tables = open_tables(bucket, behind_proxy)
    log = tables.predictions
    put(open_tables(bucket, behind_proxy), a_batch(0))
    proxy.cut = 500
    with pytest.raises(StorageError):
        log.refresh()
    proxy.cut = None
    log.refresh()
    assert log.version == 1


def test_a_slow_and_failing_store_is_ridden_out(bucket: Bucket, behind_proxy: Storage, proxy: Proxy) -> None:
    tables = open_tables(bucket, behind_proxy)
    proxy.errors, proxy.delay = 0.1, 0.01
    for number in range(10):
        retry_storage(60, partial(put, tables, a_batch(number)))
    proxy.errors = proxy.delay = 0
    assert len(keys(tables, "predictions")) == 30 == len(set(keys(tables, "predictions")))


def test_a_store_without_put_if_absent_is_never_committed_to(
    bucket: Bucket, behind_proxy: Storage, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signature covers the header; so it goes too, and the bucket is open to all."""
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": ["*"]},
                "Action": ["s3:*"],
                "Resource": [f"arn:aws:s3:::{bucket.name}", f"arn:aws:s3:::{bucket.name}/*"],
            }
        ],
    }
    bucket.store.client.put_bucket_policy(Bucket=bucket.name, Policy=json.dumps(policy))
    proxy.without_headers = frozenset({"if-none-match", "authorization"})
    monkeypatch.setattr(OwnPutLog, "_put", lambda *_: pytest.fail("an own PUT"))
    tables = open_tables(bucket, behind_proxy)
    with pytest.raises(StorageError, match="does not honour If-None-Match"):
        put(tables, a_batch(0), rejects=1)
    assert keys(tables, "predictions") == keys(tables, "quarantine") == []
    assert not [name for name in tables.predictions.folder.at("_delta_log").names() if name.startswith("_commit")]
