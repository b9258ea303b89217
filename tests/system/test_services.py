"""The servers that other system tests stand on: they start, keep what they promised, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from schemas.settings import Storage
from services.mlflow_server import MlflowServer
from services.object_store import ObjectStore
from services.server import Server
from services.start import Services
from streamscore.storage.object_store import client_of, mlflow_environment
from tests.support.fixture_types import Bucket
from tests.support.wait import HANG_SECONDS, until

pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[2]


@pytest.fixture
def own_store(object_store: ObjectStore, services: Services) -> Iterator[ObjectStore]:
    """A second store of the same kind, which may be hurt."""
    made = services.object_store(object_store.kind, name=f"{object_store.kind}-own")
    yield made
    made.stop()


def processes_of(server: Server) -> list[psutil.Process]:
    """Those in its session, and their children."""
    assert server.process is not None
    leader = psutil.Process(server.process.pid)
    return [leader, *leader.children(recursive=True)]


def still_running(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.both_stores
def test_a_put_that_must_not_replace_is_refused_the_second_time(bucket: Bucket, storage: Storage) -> None:
    store = client_of(storage)
    store.put_object(Bucket=bucket.name, Key="a/1", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError) as refused:
        store.put_object(Bucket=bucket.name, Key="a/1", Body=b"second", IfNoneMatch="*")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert store.get_object(Bucket=bucket.name, Key="a/1")["Body"].read() == b"first"
    store.put_object(Bucket=bucket.name, Key="a/1", Body=b"third")
    assert store.get_object(Bucket=bucket.name, Key="a/1")["Body"].read() == b"third"


@pytest.mark.both_stores
def test_a_killed_store_starts_again_on_its_port_with_its_data(own_store: ObjectStore) -> None:
    own_store.make_bucket("kept")
    own_store.client.put_object(Bucket="kept", Key="a", Body=b"1")
    endpoint = own_store.endpoint
    own_store.kill()
    with pytest.raises(BotoCoreError):
        own_store.client.list_buckets()
    own_store.start()
    assert own_store.endpoint == endpoint
    assert own_store.client.get_object(Bucket="kept", Key="a")["Body"].read() == b"1"
    assert own_store.client.head_object(Bucket="kept", Key="a")["ETag"]


def test_a_paused_store_says_nothing_until_it_is_resumed(own_store: ObjectStore) -> None:
    own_store.pause()
    with pytest.raises(TimeoutError):
        urllib.request.urlopen(own_store.endpoint, timeout=0.5)
    own_store.resume()
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(own_store.endpoint, timeout=HANG_SECONDS)


@pytest.mark.both_stores
@pytest.mark.needs("openssl")
def test_a_store_with_tls_is_trusted_by_its_authority_alone(object_store: ObjectStore, services: Services) -> None:
    store = services.object_store(object_store.kind, tls=True)
    assert store.endpoint.startswith("https://")
    store.make_bucket("sealed")
    trusting = Storage(endpoint=store.endpoint, region="us-east-1", path_style=True, ca_bundle=str(store.ca_file))
    assert "sealed" in [found["Name"] for found in client_of(trusting).list_buckets()["Buckets"]]
    with pytest.raises(BotoCoreError, match="CERTIFICATE_VERIFY_FAILED"):
        client_of(trusting.model_copy(update={"ca_bundle": ""})).list_buckets()
    store.stop()


@pytest.mark.filterwarnings("ignore::FutureWarning")  # stages are deprecated, and used
def test_a_model_version_is_in_postgresql_and_its_files_are_in_the_bucket(
    mlflow_server: MlflowServer, storage: Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import mlflow

    for name, value in mlflow_environment(storage).items():
        monkeypatch.setenv(name, value)
    client = mlflow.MlflowClient(mlflow_server.url, mlflow_server.url)  # not the registry of the test before
    run = client.create_run(client.create_experiment("services"))
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    client.log_artifacts(run.info.run_id, str(tmp_path), "model")
    client.create_registered_model("tiny")
    made = client.create_model_version("tiny", f"{run.info.artifact_uri}/model", run.info.run_id)
    assert (made.version, client.get_model_version("tiny", "1").status) == ("1", "READY")
    # Archiving others compares version numbers with text, which not every driver of PostgreSQL lets pass.
    client.transition_model_version_stage("tiny", "1", "Production", archive_existing_versions=True)
    key = f"{run.info.artifact_uri}/model/MLmodel".removeprefix(f"s3://{mlflow_server.bucket}/")
    assert key.startswith("models/")
    assert client_of(storage).get_object(Bucket=mlflow_server.bucket, Key=key)["Body"].read() == b"flavors: {}\n"

    url, before = mlflow_server.url, processes_of(mlflow_server)
    assert len(before) > 1
    mlflow_server.stop()
    assert still_running(before) == []
    mlflow_server.start()
    assert mlflow_server.url == url
    assert mlflow.MlflowClient(url, url).get_model_version("tiny", "1").current_stage == "Production"


def test_a_stopped_store_leaves_no_process(own_store: ObjectStore) -> None:
    before = processes_of(own_store)
    own_store.pause()
    own_store.stop()
    assert still_running(before) == []


@pytest.mark.slow
def test_servers_end_with_a_parent_that_is_killed(mlflow_server: MlflowServer) -> None:
    folder = mlflow_server.folder.parent / "killed"
    command = [sys.executable, "-m", "services", "--folder", str(folder)]
    parent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    exports = [parent.stdout.readline() for _ in range(4)]
    started = psutil.Process(parent.pid).children(recursive=True)
    assert {"minio", "postgres"} <= {one.name() for one in started}
    assert (folder / "env").read_text() == "".join(exports)
    assert (folder / "env").stat().st_mode & 0o777 == 0o600

    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until(lambda: not still_running(started))
