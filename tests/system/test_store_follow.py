"""A table in an object store is followed, beside a stream that commits to it and its maintenance."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from jobs.maintenance.clean import clean_log, vacuum
from jobs.maintenance.compact import Budget, compact
from jobs.monitoring.alerts.outbox import Answer, Notice
from jobs.monitoring.alerts.store import AlertsTable
from jobs.monitoring.alerts.watch import FeedWatch
from schemas.alerts import alerts_of
from schemas.settings import Storage, load_settings
from schemas.settings import Tables as TablesSettings
from streamscore.following import follower as follower_module
from streamscore.following.change import Change
from streamscore.following.cursor import Cursor
from streamscore.following.follower import TableFollower
from streamscore.storage.bucket import BucketFolder
from streamscore.tables.commit import commit
from streamscore.tables.housekeeping import append_batch_rows
from streamscore.tables.tables import Tables
from streamscore.tables.writers import writer_of
from tests.support.fixture_types import Bucket
from tests.support.tables_kit import FEED, a_batch, parts_of
from tests.support.wait import until

pytestmark = [pytest.mark.system, pytest.mark.both_stores]


@pytest.fixture
def reopen(bucket: Bucket, storage: Storage) -> Callable[[], Tables]:
    """Opens the tables of the test, as a process that just started."""

    def opened() -> Tables:
        tables = Tables(f"{bucket.uri}/my tables", FEED, TablesSettings(), storage)
        tables.create(pa.float64())
        return tables

    return opened


def put(tables: Tables, number: int) -> None:
    batch = a_batch(number)
    commit(parts_of(tables, batch, 2, 0), batch, tables, writer_of(tables))


def files_of(changes: list[Change]) -> Counter[str]:
    return Counter(name for change in changes for name in change.rows["source_file"].to_pylist())


def test_each_row_comes_once_beside_a_stream_and_its_maintenance(
    reopen: Callable[[], Tables], storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower_module, "LOOK_AGAIN", 0.1)
    tables, stream, maintenance = reopen(), reopen(), reopen()
    follower = TableFollower(tables.uri("predictions"), tables.storage, 0, batches=tables.uri("batches"))
    done = threading.Event()

    def go_on() -> None:
        for number in range(25):
            put(stream, number)

    def maintain() -> None:
        while not done.wait(0.1):
            append_batch_rows(maintenance)
            compact(maintenance.predictions, 2**27, Budget())
            maintenance.predictions.write_checkpoint()
            clean_log(maintenance.predictions, 10**9, 0, dry_run=False)

    threads: Any = [threading.Thread(target=one) for one in (go_on, maintain)]
    for thread in threads:
        thread.start()
    found: list[Change] = []
    while threads[0].is_alive():
        found += follower.poll()
    done.set()
    threads[1].join()
    found += follower.poll()
    assert files_of(found) == Counter({f"{number}.csv": 2 for number in range(25)})

    # what was stored goes on after more of it, and says what it cannot read as it was committed
    put(stream, 25)
    append_batch_rows(maintenance)
    stream.predictions.write_checkpoint()
    vacuum(stream.predictions, 0, dry_run=False)
    assert clean_log(stream.predictions, None, 0, dry_run=False)
    put(stream, 26)
    stored = Cursor.from_json(found[-1].cursor.to_json(), "")
    again = TableFollower(tables.uri("predictions"), tables.storage, stored, batches=tables.uri("batches"))
    assert files_of(list(again.poll())) == {"25.csv": 2, "26.csv": 2}

    folder = BucketFolder(tables.uri("predictions"), storage)
    folder.delete_all(folder.all_names())
    put(reopen(), 30)
    changes = list[Change]()

    def came() -> Counter[str]:
        changes.extend(again.poll())
        return files_of(changes)

    until(came)
    assert changes[0].gap and changes[0].gap.reason == "made_anew"
    assert files_of(changes) == {"30.csv": 2}


def test_a_feed_in_a_bucket_is_watched(reopen: Callable[[], Tables], storage: Storage, bucket: Bucket) -> None:
    rule = {"name": "low", "kind": "value", "column": "prediction", "below": 1}
    receiver = {"name": "me", "url": "http://127.0.0.1:9/in", "secret_env": "SECRET"}
    alerts = alerts_of({"rules": [rule], "receivers": [receiver]}, "test")
    settings = load_settings(flags={"tables.path": f"{bucket.uri}/my tables", "storage": storage.model_dump()})
    stream, sent = reopen(), list[Notice]()

    def take(notice: Notice) -> Answer:
        sent.append(notice)
        return Answer(200)

    for number in range(2):  # and again after a restart
        watch = FeedWatch(FEED, alerts, settings, {"me": take}, lambda: None)
        watch.look()
        put(stream, number)

        def look(watch: FeedWatch = watch) -> object:
            watch.look()
            return sent

        until(look)
        watch.finish()
    assert len(sent) == 1  # it still fires
    stored = AlertsTable(f"{bucket.uri}/my tables/alerts", storage).load()
    assert stored and stored["outbox"] == [] and stored["cursors"]["predictions"]["version"] == 3
