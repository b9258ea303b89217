"""status, replay, doctor and sample on a stream that lives in an object store; without Spark."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import CommitProperties, Transaction
from rich.console import Console

from jobs.operations.doctor.doctor import show
from jobs.operations.doctor.storage import check_storage
from jobs.operations.replay import replay
from jobs.operations.status import Status, read_status
from schemas.errors import SettingsError, StorageError, TryAgainError
from schemas.settings import Settings, Storage
from schemas.tables import predictions_schema
from services.object_store import ObjectStore
from streamscore.landing.listing import landed_files
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.registry.model_version import ModelVersion
from streamscore.storage import lease
from streamscore.storage.bucket import BucketFolder
from streamscore.storage.journal import FOLD
from streamscore.storage.stream_paths import StreamPaths
from streamscore.tables.batch import Batch, BatchRecord, Counts
from tests.support.fixture_types import Bucket
from tests.support.replay_contract import FEED, MISSING_COLUMN, ReplayContract, WrittenStream
from training.data.sample import sample

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.system

PREDICTIONS_SCHEMA = predictions_schema(FEED, pa.float64())


class StoreStream(WrittenStream):
    def __init__(self, bucket: Bucket, storage: Storage) -> None:
        self.client, self.bucket, self.storage = bucket.store.client, bucket.name, storage
        super().__init__(
            Settings(
                landing=f"{bucket.uri}/in",
                tables={"path": f"{bucket.uri}/tables"},
                checkpoint=f"{bucket.uri}/checkpoint",
                storage=storage.model_dump(),
            )
        )
        landing, self.checkpoint = self.paths.landing, self.paths.checkpoint
        assert isinstance(landing, BucketFolder)
        self.folder = landing

    def put(self, name: str, content: bytes) -> None:
        self.client.upload_fileobj(io.BytesIO(content), self.bucket, f"in/{name}")

    def move(self, name: str, to: str) -> None:
        self.folder.move(name, f"in/{to}")

    def names(self) -> list[str]:
        return self.folder.all_names()

    def status(self) -> Status:
        return read_status(FEED, self.settings)

    def predict(self, batch_id: int, *files: LandedFile, rejects: int = 0) -> None:
        batch = Batch("app", batch_id, BatchManifest(batch_id + 1, files), ModelVersion("wine_quality", "1", "run"))
        record = BatchRecord.of(batch, {file.path: Counts(3, rejects) for file in files})
        row = dict.fromkeys(PREDICTIONS_SCHEMA.names) | {"batch_id": batch_id}
        properties = CommitProperties(
            {"userMetadata": record.to_json()}, app_transactions=[Transaction("app", batch_id)]
        )
        rows = pa.Table.from_pylist([row] * 3, schema=PREDICTIONS_SCHEMA)
        self.write("predictions", rows, commit_properties=properties)

    def doctor(self, tmp_path: "Path", storage: Storage | None = None) -> dict[str, Any]:
        settings = self.settings.model_copy(update={"storage": storage or self.storage, "scratch": str(tmp_path)})
        return {check.name: check for check in check_storage(FEED, StreamPaths.of(FEED, settings))}


@pytest.fixture
def places(bucket: Bucket, storage: Storage) -> StoreStream:
    return StoreStream(bucket, storage)


@pytest.fixture
def stream(places: StoreStream) -> StoreStream:
    return places


@pytest.mark.both_stores
def test_status_counts_what_is_in_the_bucket(stream: StoreStream) -> None:
    assert stream.status().files_waiting == 0
    done, newest = stream.land("done é.csv"), stream.land("sub/newest.csv.gz")
    for other in (".hidden.csv", "_archive/old.csv", "notes.txt"):
        stream.client.put_object(Bucket=stream.bucket, Key=f"in/{other}", Body=b"a\n")
    stream.land("waits.csv")
    stream.ledger(done)
    stream.predict(0, done)
    stream.predict(1, newest, rejects=2)
    stream.quarantine({}, {"replayed_as": "replay-1.csv", "source_line": 3})
    status = stream.status()
    assert (status.files_waiting, status.rows, status.rejects, status.last_batch_id) == (1, 6, 2, 1)
    assert (status.rejects_by_reason, status.rejects_replayed) == ({"bad_type": 2}, 1)


def test_looking_at_a_ledger_leaves_it_to_its_stream_to_fold_it(stream: StoreStream) -> None:
    file = stream.land("a.csv")
    for number in range(FOLD):
        stream.checkpoint.write(f"ledger/{number:020}", json.dumps(BatchManifest(number, (file,)).to_offset()).encode())
    assert stream.status().files_waiting == 0
    assert len(stream.checkpoint.names("ledger")) == FOLD


@pytest.mark.both_stores
class TestReplayOfABucket(ReplayContract):
    pass


def test_a_refused_object_whose_content_is_another_of_the_same_size_is_not_landed(stream: StoreStream) -> None:
    stream.predict(0)
    stream.refuse("other.csv", b"c\n1\n")
    stream.land("other.csv", b"c\n2\n")
    done = stream.replay(MISSING_COLUMN)
    assert done.files == () and "other.csv (missing_column): the file has changed since" in done.message


def test_two_replays_at_once_are_refused(stream: StoreStream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.3)
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.2)
    stream.predict(0)
    stream.quarantine({})
    other = stream.paths.landing.at(replay.LOCK).take_lease(FEED.name, lambda _: None)
    with pytest.raises(TryAgainError, match="another replay is at work in s3://"):
        stream.replay()
    assert list(landed_files(stream.paths.landing)) == []
    other.release()
    assert stream.replay().rows == 1


def test_a_replay_that_lost_its_lease_lands_nothing(stream: StoreStream, monkeypatch: pytest.MonkeyPatch) -> None:
    stream.predict(0)
    stream.quarantine({})
    take = BucketFolder.take_lease

    def take_and_lose(folder: BucketFolder, feed: str, lost: Callable[[str], None]) -> lease.Lease:
        lost("process 1 on another machine")
        return take(folder, feed, lost)

    monkeypatch.setattr(BucketFolder, "take_lease", take_and_lose)
    with pytest.raises(TryAgainError):
        stream.replay()
    assert list(landed_files(stream.paths.landing)) == []


# --- sample


@pytest.mark.both_stores
def test_a_sample_is_put_into_the_bucket_and_never_over_other_content(
    bucket: Bucket, storage: Storage, tmp_path: "Path"
) -> None:
    local = sample(FEED, 100, 3, tmp_path, bad=0.1)
    put = sample(FEED, 100, 3, f"{bucket.uri}/in", bad=0.1, storage=storage)
    folder = BucketFolder(f"{bucket.uri}/in", storage)
    assert [folder.read(name) for name in put.names] == [path.read_bytes() for path in local.paths]
    etags = [(folder.head(name) or {})["ETag"] for name in put.names]
    assert sample(FEED, 100, 3, f"{bucket.uri}/in", bad=0.1, storage=storage) == put
    with pytest.raises(StorageError, match="is there with other content; give another --seed or --out"):
        sample(FEED, 101, 3, f"{bucket.uri}/in", storage=storage)
    assert [(folder.head(name) or {})["ETag"] for name in put.names] == etags


def test_a_sample_for_a_bucket_without_a_name_is_refused(storage: Storage) -> None:
    with pytest.raises(SettingsError, match="wanted a folder or s3://BUCKET/PREFIX"):
        sample(FEED, 1, 1, "s3:///in", storage=storage)


# --- doctor


def identify(stream: StoreStream, **other: str) -> None:
    identity = {"app_id": "app", "feed": FEED.name, "landing": stream.paths.landing.uri}
    stream.checkpoint.write("streamscore.json", json.dumps(identity | other).encode())


@pytest.mark.both_stores
def test_what_is_not_there_yet_is_fine_and_nothing_is_left_behind(stream: StoreStream, tmp_path: "Path") -> None:
    checks = stream.doctor(tmp_path)
    assert list(checks) == "store landing tables commits checkpoint disk clock".split()
    assert [check for check in checks.values() if not check.ok] == []
    file = stream.land("a.csv")
    stream.predict(0, file)
    identify(stream)
    planned = json.dumps(BatchManifest(0, (file,)).to_offset())
    stream.checkpoint.write("metadata", b"{}")
    stream.checkpoint.write("offsets/0", f"v1\n{{}}\n{planned}".encode())
    before = BucketFolder(f"s3://{stream.bucket}", stream.storage).all_names()
    assert [check for check in stream.doctor(tmp_path).values() if not check.ok] == []
    assert BucketFolder(f"s3://{stream.bucket}", stream.storage).all_names() == before


def test_a_checkpoint_that_does_not_belong_is_a_failure(stream: StoreStream, tmp_path: "Path") -> None:
    identify(stream, landing="s3://elsewhere/in")
    check = stream.doctor(tmp_path)["checkpoint"]
    assert check.exit_code == 5 and "belongs to landing s3://elsewhere/in" in check.found
    stream.predict(0)
    identify(stream, app_id="other")
    assert stream.doctor(tmp_path)["checkpoint"].fix == "streamscore run wine_quality --recover"


def test_a_checkpoint_that_lost_objects_is_a_failure(stream: StoreStream, tmp_path: "Path") -> None:
    stream.predict(0)
    identify(stream)
    stream.checkpoint.write("offsets/0", b"v1\n{}\n" + json.dumps(BatchManifest(1).to_offset()).encode())
    assert "metadata is missing" in stream.doctor(tmp_path)["checkpoint"].found
    stream.checkpoint.write("metadata", b"{}")
    stream.checkpoint.write("commits/1", b"v1\n{}")
    assert "the newest of offsets/ is 0, the newest of commits/ is 1" in stream.doctor(tmp_path)["checkpoint"].found


def test_who_streams_is_shown(stream: StoreStream, tmp_path: "Path") -> None:
    identify(stream)
    held = stream.checkpoint.take_lease(FEED.name, lambda _: None)
    assert ", in use by process " in stream.doctor(tmp_path)["checkpoint"].found
    held.release()
    assert "process" not in stream.doctor(tmp_path)["checkpoint"].found
    stream.checkpoint.write(
        f"{lease.NAME}/000000002", json.dumps({"holder": "process 7 on b", "token": "", "renewed": 0}).encode()
    )
    assert ", left without release by process 7 on b" in stream.doctor(tmp_path)["checkpoint"].found


def test_a_missing_bucket_is_told_once(stream: StoreStream, tmp_path: "Path") -> None:
    stream.settings = stream.settings.model_copy(update={"landing": "s3://no-such-bucket/in"})
    checks = stream.doctor(tmp_path)
    assert list(checks) == ["store", "disk"]
    assert checks["store"].found.startswith("--landing s3://no-such-bucket/in: object store http://127.0.0.1:")
    assert checks["store"].fix.startswith("make it, or name another")


# A process of its own: `deltalake` holds the interpreter while it waits for an answer.
REPLACING_STORE = """
import http.client, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import boto3

port = int(sys.argv[1])
client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1")

class Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def forward(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("If-None-Match"):  # it is signed, so that it cannot be left out
            bucket, _, key = self.path.split("?")[0].lstrip("/").partition("/")
            client.delete_object(Bucket=bucket, Key=key)
        store = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        store.request(self.command, self.path, body, dict(self.headers))
        answer = store.getresponse()
        content = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", answer.getheader("Content-Length") or str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        store.close()

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = forward

    def log_message(self, *_): pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def replacing_store(object_store: ObjectStore) -> Iterator[str]:
    """The endpoint of a store that does not know If-None-Match: who puts an object repaths the one that is there."""
    command = [sys.executable, "-c", REPLACING_STORE, str(object_store.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout is not None
        yield f"http://127.0.0.1:{int(proxy.stdout.readline())}"
        proxy.kill()


def test_a_store_that_ignores_put_if_absent_is_a_failure(
    stream: StoreStream, tmp_path: "Path", replacing_store: str
) -> None:
    checks = stream.doctor(tmp_path, stream.storage.model_copy(update={"endpoint": replacing_store}))
    assert [name for name, check in checks.items() if not check.ok] == ["commits"]
    assert "does not honour If-None-Match" in checks["commits"].found
    assert show(list(checks.values()), Console(file=io.StringIO())) == 5
