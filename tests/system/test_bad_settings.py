"""Wrong settings of the object store end a command within 15 seconds, in one line; no credential is shown anywhere."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
import pytest

from jobs.operations.doctor.storage import check_store
from schemas.errors import SettingsError
from schemas.feed import load_feed
from schemas.settings import Storage, load_settings
from services.object_store import REGION, ObjectStore
from services.server import free_port
from services.start import Services
from streamscore.spark.session import session_conf
from streamscore.storage.object_store import client_of
from streamscore.storage.stream_paths import StreamPaths
from tests.support.fixture_types import Bucket
from tests.support.oracle import START_SECONDS
from tests.support.wait import until

pytestmark = pytest.mark.system

SECONDS = 60
FEED = load_feed("wine_quality")


def variables(endpoint: str, keys: tuple[str, str], bucket: str, **more: str) -> dict[str, str]:
    """What a user sets for a stream in a bucket."""
    return {
        "AWS_ACCESS_KEY_ID": keys[0],
        "AWS_SECRET_ACCESS_KEY": keys[1],
        "STREAMSCORE_STORAGE__ENDPOINT": endpoint,
        "STREAMSCORE_STORAGE__REGION": REGION,
        "STREAMSCORE_STORAGE__PATH_STYLE": "true",
        "STREAMSCORE_LANDING": f"s3://{bucket}/in",
        "STREAMSCORE_TABLES__PATH": f"s3://{bucket}/tables",
        "STREAMSCORE_CHECKPOINT": f"s3://{bucket}/checkpoint",
    } | more


COMMANDS: dict[str, list[str]] = {
    "run": ["run", "wine_quality"],
    "status": ["status", "wine_quality"],
    "replay": ["replay", "wine_quality", "--reason", "bad_type"],
    "doctor": ["doctor", "wine_quality"],
}


def start(arguments: Sequence[str], cwd: Path, environment: dict[str, str]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "jobs.cli", *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=cwd, env=os.environ | environment, **pipes)


@pytest.fixture
def silent() -> Iterator[str]:
    """The endpoint of a host that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.slow
@pytest.mark.repeats
def test_a_store_that_does_not_answer_is_told_by_every_command_in_time(
    tmp_path: Path, silent: str, services: Services
) -> None:
    """How long it takes is measured inside a process: its start takes longer than our own limits on a busy machine."""

    closed = f"http://127.0.0.1:{free_port()}"
    asking = [*((closed, name) for name in COMMANDS), (silent, "run"), (silent, "status")]
    started = [start(COMMANDS[name], tmp_path, variables(endpoint, services.keys, "none")) for endpoint, name in asking]
    for (endpoint, name), process in zip(asking, started, strict=True):
        said = process.communicate(timeout=START_SECONDS)[0]
        assert process.returncode == 5, (name, said)
        assert f"--landing s3://none/in: object store {endpoint}: no answer" in said, (name, said)
        assert "storage.endpoint (STREAMSCORE_STORAGE__ENDPOINT)" in said, (name, said)
        assert name == "doctor" or said.count("\n") == 1, (name, said)
    begun = time.monotonic()
    assert "no answer" in asked(Storage(endpoint=silent, region=REGION, path_style=True), "s3://none/in")
    assert time.monotonic() - begun < SECONDS


def asked(storage: Storage, uri: str) -> str:
    """What `doctor` finds of the store, and its fix."""
    settings = load_settings(flags={"landing": uri, "storage": storage.model_dump()})
    check = check_store(StreamPaths.of(FEED, settings))
    return "" if check.ok else f"{check.found} | {check.fix}"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str | None, str | None], None]]:
    """Other credentials in the environment."""

    def give(key: str | None, secret: str | None) -> None:
        client_of.cache_clear()  # a process has one client, with the credentials of its start
        for name, value in (("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", secret)):
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)

    yield give
    client_of.cache_clear()


@pytest.mark.both_stores
def test_wrong_credentials_name_the_variable(
    bucket: Bucket, storage: Storage, keys: Callable[[str | None, str | None], None]
) -> None:
    key, secret = bucket.store.access_key, bucket.store.secret_key
    assert asked(storage, bucket.uri) == ""
    keys("AKIANOBODY", secret)
    assert "set AWS_ACCESS_KEY_ID right" in asked(storage, bucket.uri)
    keys(key, "recognisable-secret")
    said = asked(storage, bucket.uri)
    assert "set AWS_SECRET_ACCESS_KEY right" in said and "recognisable" not in said
    keys(None, None)
    assert "found no credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in asked(storage, bucket.uri)


def test_a_profile_of_aws_that_is_not_there_is_named(
    bucket: Bucket,
    storage: Storage,
    keys: Callable[[str | None, str | None], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys(None, None)
    monkeypatch.setenv("AWS_PROFILE", "nobodys")
    assert "AWS_PROFILE names a profile that is not in AWS's files" in asked(storage, bucket.uri)


def test_credentials_that_may_not_do_it_are_told(
    bucket: Bucket, storage: Storage, keys: Callable[[str | None, str | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::*"}],
    }
    granted = credentials_with(bucket.store, json.dumps(nothing))
    keys(granted["AccessKeyId"], granted["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", granted["SessionToken"])
    assert "may not do that | grant it, or use others" in asked(storage, bucket.uri)


def credentials_with(store: ObjectStore, policy: str) -> dict[str, str]:
    """Of a user of MinIO's, made for an hour."""
    import boto3

    sts = boto3.client(
        "sts",
        endpoint_url=store.endpoint,
        region_name=REGION,
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
    )
    return sts.assume_role(RoleArn="arn:x:ignored:by:minio:x", RoleSessionName="tests", Policy=policy)["Credentials"]


@pytest.mark.both_stores
def test_a_missing_bucket_names_the_flags(storage: Storage, object_store: ObjectStore) -> None:
    assert "the bucket is not there | make it, or name another in --landing" in asked(storage, "s3://no-such-bucket/in")


class Regional(ObjectStore):
    """MinIO that insists on a region, as AWS and versitygw do."""

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "MINIO_SITE_REGION": REGION}


def test_a_wrong_region_names_the_right_one(services: Services, object_store: ObjectStore, tmp_path: Path) -> None:
    store = Regional("minio", "regional", services.folder, services.keys, tls=False, port=None)
    store.start()
    try:
        store.make_bucket("there")
        wrong = Storage(endpoint=store.endpoint, region="eu-central-1", path_style=True)
        said = asked(wrong, "s3://there")
        assert "storage.region is 'eu-central-1', the store's is 'us-east-1' | set STREAMSCORE_STORAGE__REGION" in said
    finally:
        store.stop()


@pytest.mark.both_stores
@pytest.mark.needs("openssl")
def test_tls_that_does_not_fit_names_endpoint_or_authority(
    object_store: ObjectStore, storage: Storage, services: Services, tmp_path: Path
) -> None:
    store = services.object_store(object_store.kind, tls=True)
    store.make_bucket("there")
    plain, tls = object_store.endpoint, store.endpoint

    def ask(endpoint: str, ca_bundle: str = "") -> str:
        return asked(storage.model_copy(update={"endpoint": endpoint, "ca_bundle": ca_bundle}), "s3://there")

    assert "it does not speak TLS | set storage.endpoint" in ask(plain.replace("http:", "https:"))
    assert "(STREAMSCORE_STORAGE__ENDPOINT) to https://" in ask(tls.replace("https:", "http:"))
    assert "not signed by one of the system's authorities | set storage.ca_bundle" in ask(tls)
    assert ask(tls, str(store.ca_file)) == ""
    no_pem = tmp_path / "no.pem"
    no_pem.write_text("no certificate")
    assert "| set storage.ca_bundle (STREAMSCORE_STORAGE__CA_BUNDLE) to a PEM file" in ask(tls, str(no_pem))
    with pytest.raises(SettingsError, match=r"'storage\.ca_bundle': no file /nowhere"):
        ask(tls, "/nowhere.pem")


@pytest.mark.slow
@pytest.mark.needs("openssl")
def test_a_stream_over_tls_is_looked_at_with_the_right_authority(
    services: Services, object_store: ObjectStore, tmp_path: Path
) -> None:
    store = services.object_store("minio", tls=True)
    store.make_bucket("operations")
    more = {"STREAMSCORE_STORAGE__CA_BUNDLE": str(store.ca_file)}
    environment = variables(store.endpoint, services.keys, "operations", **more)
    put = start(["sample", "wine_quality", "--rows", "9", "--files", "3"], tmp_path, environment)
    assert put.wait(START_SECONDS) == 0
    shown = start(["status", "wine_quality"], tmp_path, environment)
    assert "3 files wait in s3://operations/in" in shown.communicate(timeout=START_SECONDS)[0].replace("\n", " ")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("localhost:9000", "wanted http://HOST:PORT or https://HOST:PORT, found 'localhost:9000'"),
        ("ftp://localhost", "wanted http://HOST:PORT"),
        ("http://", "wanted http://HOST:PORT"),
        ("http://host:9000/minio", "wanted http://HOST:PORT"),
    ],
)
def test_an_endpoint_that_is_no_url_is_refused_at_once(given: str, said: str) -> None:
    with pytest.raises(SettingsError, match=r"'storage\.endpoint'") as refused:
        load_settings(flags={"storage.endpoint": given})
    assert said in str(refused.value)


def test_credentials_in_an_endpoint_are_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError, match="AWS_SECRET_ACCESS_KEY") as refused:
        load_settings(flags={"storage.endpoint": "http://key:hidden-secret@localhost:9000"})
    assert "hidden-secret" not in str(refused.value)


@pytest.mark.parametrize("place", ["s3:///in", "s3://a b/in", "gs://bucket/in"])
def test_a_place_that_is_neither_folder_nor_bucket_is_refused(place: str) -> None:
    with pytest.raises(SettingsError, match="wanted a folder or s3://BUCKET/PREFIX"):
        StreamPaths.of(FEED, load_settings(flags={"landing": place}))


# --- no credential is shown


@pytest.fixture
def recognisable(tmp_path: Path) -> Iterator[ObjectStore]:
    """A store whose credentials are found wherever they are."""
    keys = "AKIARECOGNISABLE", "recognisable-secret-0123456789"
    (tmp_path / "store").mkdir()
    store = ObjectStore("minio", "minio", tmp_path / "store", keys, tls=False, port=None)
    store.start()
    store.make_bucket("bucket")
    yield store
    store.stop()


@pytest.mark.slow
def test_no_credential_is_shown_anywhere(recognisable: ObjectStore, tmp_path: Path) -> None:
    cwd, port = tmp_path / "cwd", free_port()
    cwd.mkdir()
    keys = recognisable.access_key, recognisable.secret_key
    ui = {"spark.ui.enabled": "true", "spark.ui.port": str(port)}
    more = {"STREAMSCORE_SPARK__CONF": json.dumps(ui), "STREAMSCORE_SPARK__MASTER": "local[2]"}
    environment = variables(recognisable.endpoint, keys, "bucket", **more)
    shown: dict[str, str] = {}

    def finish(**commands: tuple[Sequence[str], int]) -> None:
        """All at once; each must end with its exit code."""
        wrong = {"AWS_SECRET_ACCESS_KEY": f"{keys[1]}-wrong"}
        started = {
            name: start(arguments, cwd, environment | (wrong if name == "failing" else {}))
            for name, (arguments, _) in commands.items()
        }
        for name, process in started.items():
            shown[name] = process.communicate(timeout=START_SECONDS)[0]
            assert process.returncode == commands[name][1], shown[name]

    made = ["sample", "wine_quality", "--rows", "20", "--files", "2", "--bad", "0.2"]
    finish(train=(["train", "wine_quality", "--promote"], 0), sample=(made, 0))
    stream = start(["run", "wine_quality"], cwd, environment)
    with watched(stream.pid) as command_lines:
        predictions = f"{tmp_path}/store/minio/data/bucket/tables/predictions"
        until(lambda: stream.poll() is not None or len(list(Path(predictions).glob("_delta_log/*2.json"))) > 0)
        assert stream.poll() is None, stream.communicate()[0]
        shown["ui"], shown["ui's json"] = of_ui(port)
        stream.send_signal(signal.SIGTERM)
        shown["run"] = stream.communicate(timeout=START_SECONDS)[0]
    assert stream.returncode == 0, shown["run"]
    shown["command lines"] = "\n".join(sorted(command_lines))
    finish(doctor=(COMMANDS["doctor"], 0))  # alone: it gives a registry 12 s
    finish(status=(COMMANDS["status"], 0), failing=(COMMANDS["run"], 5))
    settings = load_settings(flags={"checkpoint": "s3://bucket/checkpoint", "storage.endpoint": recognisable.endpoint})
    shown["conf of the session"] = str(session_conf(settings))
    for path in [path for path in cwd.rglob("*") if path.is_file()]:
        shown[str(path)] = path.read_bytes().decode("latin-1")
    for entry in recognisable.client.list_objects_v2(Bucket="bucket")["Contents"]:
        body = recognisable.client.get_object(Bucket="bucket", Key=entry["Key"])["Body"]
        shown[f"object {entry['Key']}"] = entry["Key"] + body.read().decode("latin-1")

    assert "<html" in shown["ui"] and "spark.app.name" in shown["ui's json"] and "fs.s3a" in shown["ui's json"]
    assert "java" in shown["command lines"]
    assert "object checkpoint/offsets/0" in shown and str(cwd / "var/mlflow.db") in shown, sorted(shown)
    assert {name: key for name, text in shown.items() for key in keys if key in text} == {}


class watched:
    """The command lines of a process and of all below it, as long as it lives."""

    def __init__(self, pid: int) -> None:
        self._process, self._lines, self._end = psutil.Process(pid), set[str](), Event()
        self._thread = Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._end.wait(0.1):
            try:
                for process in [self._process, *self._process.children(recursive=True)]:
                    self._lines.add(" ".join(process.cmdline()))
            except psutil.Error:  # one of them ended
                continue

    def __enter__(self) -> set[str]:
        self._thread.start()
        return self._lines

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def of_ui(port: int) -> tuple[str, str]:
    """The environment page of Spark's UI, and the same as JSON."""

    def get(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.read().decode()

    (application,) = json.loads(get("/api/v1/applications"))
    return get("/environment/"), get(f"/api/v1/applications/{application['id']}/environment")
