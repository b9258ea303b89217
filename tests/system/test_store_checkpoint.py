"""Spark's checkpoint writer on an object store: when two write, when a close fails, when a listing is old."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from jobs.streaming.checkpoint import open_checkpoint
from schemas.errors import RecoveryError
from schemas.settings import Storage
from streamscore.landing.ledger import Ledger
from streamscore.landing.manifest import BatchManifest
from streamscore.storage.bucket import BucketFolder
from streamscore.tables.commit import DeltaRsWriter, commit
from tests.support.fixture_types import Bucket
from tests.support.proxy import Proxy
from tests.support.tables_kit import FEED, a_batch, open_tables, parts_of

pytestmark = pytest.mark.system

# In a JVM of its own: the shared session has no S3A on its class path.
IN_A_JVM = """
import json, sys
from streamscore.spark.session import start_session
from tests.support.proxy import Proxy
from schemas.settings import load_settings

store, bucket = sys.argv[1:]
proxy = Proxy(store)
patient = {"spark.hadoop.fs.s3a.retry.limit": "1", "spark.hadoop.fs.s3a.attempts.maximum": "1"}
given = {"checkpoint": f"s3://{bucket}/cp", "storage.endpoint": proxy.endpoint, "storage.path_style": True,
         "storage.region": "us-east-1", "spark.master": "local[1]", "spark.conf": patient}
spark = start_session(load_settings(flags=given), "checkpoint files")
Path = spark._jvm.org.apache.hadoop.fs.Path
managers = getattr(spark._jvm.org.apache.spark.sql.execution.streaming.checkpointing, "CheckpointFileManager$")
manager = managers.__getattr__("MODULE$").create(
    Path(f"s3a://{bucket}/cp"), spark._jsparkSession.sessionState().newHadoopConf())
manager.mkdirs(Path(f"s3a://{bucket}/cp/offsets"))

def write(name, text):
    stream = manager.createAtomic(Path(f"s3a://{bucket}/cp/offsets/{name}"), False)
    stream.write(bytearray(text.encode()))
    return stream

def closes(stream):
    try:
        stream.close()
        return True
    except Exception:
        return False

one, other = write("0", "one"), write("0", "other")
said = {"two writers": [closes(one), closes(other)]}
failed = write("1", "lost")
proxy.down = True
said["failed close"] = closes(failed)
proxy.down = False
proxy.stale_listing = "cp/offsets"
list(manager.list(Path(f"s3a://{bucket}/cp/offsets")))
said["not in the listing"] = closes(write("0", "third"))
print("SAID " + json.dumps(said), flush=True)
spark.stop()
"""


def test_a_second_writer_and_a_failed_close_are_told_to_spark(bucket: Bucket) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", IN_A_JVM, bucket.store.endpoint, bucket.name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    (said,) = [line for line in done.stdout.splitlines() if line.startswith("SAID ")] or [done.stderr[-3000:]]
    assert json.loads(said.removeprefix("SAID ")) == {
        "two writers": [True, False],
        "failed close": False,
        "not in the listing": False,
    }
    content = {name: _read(bucket, f"cp/offsets/{name}") for name in ("0", "1")}
    assert content == {"0": b"one", "1": None}


@pytest.fixture
def proxy(object_store: Any) -> Iterator[Proxy]:
    between = Proxy(object_store.endpoint)
    yield between
    between.close()


def test_a_stale_listing_of_offsets_is_refused_before_anything_runs(
    bucket: Bucket, storage: Storage, proxy: Proxy, tmp_path: Any
) -> None:
    tables = open_tables(tmp_path / "tables", prediction=pa.float64())
    folder = BucketFolder(f"{bucket.uri}/cp", storage.model_copy(update={"endpoint": proxy.endpoint}))
    checkpoint = open_checkpoint(folder, FEED, "file:///in", recover=False, leased=False)
    folder.write("metadata", b"{}")
    ledger = Ledger(folder.open_journal("ledger"))
    ledger.append(BatchManifest(0))
    for number in range(2):
        batch = a_batch(number, app_id=checkpoint.app_id)
        commit(parts_of(tables, batch), batch, tables, DeltaRsWriter())
        folder.write(f"offsets/{number}", f"v1\n{{}}\n{json.dumps(batch.manifest.to_offset())}".encode())
        folder.write(f"commits/{number}", b"v1\n{}")
        ledger.append(batch.manifest)
        checkpoint.assert_whole(tables)  # and the proxy knows the listings as they are now
    proxy.stale_listing = "cp/offsets/"
    folder.write("offsets/2", b"not in the old listing")
    folder.write("commits/2", b"v1\n{}")
    with pytest.raises(RecoveryError, match=r"newest of offsets/ is 1, the newest of commits/ is 2.*--recover"):
        checkpoint.assert_whole(tables)


def _read(bucket: Bucket, key: str) -> bytes | None:
    client = bucket.store.client
    try:
        return client.get_object(Bucket=bucket.name, Key=key)["Body"].read()
    except client.exceptions.NoSuchKey:
        return None
