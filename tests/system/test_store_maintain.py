"""Maintenance of tables in object stores, beside a stream that commits to them."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from jobs.maintenance.clean import clean_log, vacuum
from jobs.maintenance.lock import alone
from jobs.maintenance.maintain import Maintained, Task, maintain
from schemas.errors import TryAgainError
from schemas.settings import Storage
from schemas.settings import Tables as TablesSettings
from streamscore.storage import lease
from streamscore.storage.places import open_folder
from streamscore.storage.stream_paths import StreamPaths
from streamscore.tables.batch import Batch
from streamscore.tables.commit import commit, committed
from streamscore.tables.parts import PartsWriter, write_part
from streamscore.tables.tables import Tables
from streamscore.tables.writers import writer_of
from tests.support.fixture_types import Bucket
from tests.support.tables_kit import FEED, LANDING, a_batch, keys, rows_of, scored

pytestmark = [pytest.mark.system, pytest.mark.both_stores]

SETTINGS = TablesSettings(checkpoint_every=5)


@pytest.fixture
def reopen(bucket: Bucket, storage: Storage) -> Callable[[], Tables]:
    """Opens the tables of the test, as a driver that just started."""

    def opened() -> Tables:
        tables = Tables(f"{bucket.uri}/my tables", FEED, SETTINGS, storage)
        tables.create(pa.float64())
        return tables

    return opened


def task_of(tables: Tables) -> Task:
    landing, checkpoint = (open_folder(f"{tables.path}/{name}", tables.storage) for name in ("in", "checkpoint"))
    return Task(FEED, StreamPaths(landing, tables.path, checkpoint, Path(os.devnull), tables.storage), SETTINGS)


def put(tables: Tables, batch: Batch) -> None:
    work: Any = SimpleNamespace(feed=FEED, batch=batch, folders=tables.folders, landing=LANDING, storage=tables.storage)
    writer = PartsWriter(work)
    for file in batch.manifest.files:
        writer.add(*scored(file.path.removeprefix(f"{LANDING}/"), 3, 1))
    commit(writer.finish(), batch, tables, writer_of(tables))


def by_table(tables: Tables) -> dict[str, Maintained]:
    return {done.table: done for done in maintain(task_of(tables)).tables}


def test_files_become_few_beside_a_stream(reopen: Callable[[], Tables]) -> None:
    stream = reopen()
    for number in range(12):
        put(stream, a_batch(number))

    def go_on() -> None:
        for number in range(12, 30):
            put(stream, a_batch(number))

    goes_on = threading.Thread(target=go_on)
    goes_on.start()
    done = by_table(reopen())
    goes_on.join()
    assert done["predictions"].compacted >= 12 and done["quarantine"].compacted >= 12
    done = by_table(reopen())
    assert done["predictions"].after.files <= 4 and done["predictions"].after.entries >= 30
    again = reopen()
    assert len(keys(again, "predictions")) == 90 == len(set(keys(again, "predictions")))
    assert len(keys(again, "quarantine")) == 30
    assert sorted(rows_of(again, "batches")["batch_id"].to_pylist()) == list(range(30))
    assert again.predictions.dataset().count_rows(filter=pc.field("source_file") == "7.csv") == 3


def test_what_is_old_goes(reopen: Callable[[], Tables]) -> None:
    tables = reopen()
    for number in range(10):
        put(tables, a_batch(number))
    by_table(reopen())
    write_part(rows_of(tables, "predictions"), tables.predictions.folder)
    put(tables, a_batch(10))
    before = len(tables.predictions.folder.names())
    by_table(reopen())
    assert len(tables.predictions.folder.names()) == before  # all of it is young
    time.sleep(1.1)  # a store tells times in seconds
    assert clean_log(tables.predictions, 100, 0, dry_run=False) > 9
    assert vacuum(tables.predictions, 0, dry_run=False)[0] == 11  # ten that were compacted, one of no version
    again = reopen()
    assert all(committed(n, "app", a_batch(n).manifest.digest, again) for n in range(11))
    put(again, a_batch(11))
    assert len(keys(again, "predictions")) == 36 and len(keys(again, "quarantine")) == 12


def test_one_at_a_time(reopen: Callable[[], Tables], storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = reopen()
    put(tables, a_batch(0))
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.2)
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.5)
    with alone(task_of(tables).paths, "kit"), pytest.raises(TryAgainError, match=r"another maintenance"):
        maintain(task_of(tables))
    assert by_table(tables)["predictions"].after.files == 1
