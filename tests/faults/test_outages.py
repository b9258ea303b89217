"""A running stream whose object store or registry fails: it goes on by itself, and every row is in once."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from schemas.feed import Feed
from schemas.settings import Storage, load_settings
from services.mlflow_server import MlflowServer
from services.object_store import ObjectStore
from streamscore.registry.registry import Registry, open_registry
from tests.support.oracle import Oracle, Stream
from tests.support.proxy import Proxy, Request

pytestmark = [pytest.mark.faults, pytest.mark.system]

ALERT_SECONDS = 60


@pytest.fixture
def proxy(object_store: ObjectStore) -> Iterator[Proxy]:
    between = Proxy(object_store.endpoint)
    yield between
    between.close()


@pytest.fixture
def behind(in_bucket: Callable[..., Stream], proxy: Proxy) -> Callable[..., Stream]:
    """Makes streams that reach the store through the proxy; the test itself goes around it."""

    def make(registry_uri: str, *more: str, name: str = "s3") -> Stream:
        stream = in_bucket(registry_uri, *more, name=name)
        stream.environment["STREAMSCORE_STORAGE__ENDPOINT"] = proxy.endpoint
        return stream

    return make


@pytest.mark.parametrize(
    ("places", "seconds"),
    [
        pytest.param([], 10, id="short"),
        pytest.param([], 60, id="local checkpoint", marks=pytest.mark.faults_long),
        pytest.param(["checkpoint"], 60, id="checkpoint in the bucket", marks=pytest.mark.faults_long),
    ],
)
def test_a_stream_rides_out_the_faults_of_its_object_store(
    behind: Callable[..., Stream],
    proxy: Proxy,
    trained: Any,
    oracle: Oracle,
    recovers: Callable[..., None],
    reader: Callable[[Stream], object],
    places: list[str],
    seconds: int,
) -> None:
    stream = behind(trained.uri, *places)
    stream.land(files=3, rows=20, seed=0)
    stream.start(max_files=3)
    stream.until(lambda: oracle.tally(stream).lost == 0)
    reader(stream)

    proxy.delay = 0.5
    stream.land(files=4, rows=20, seed=1)
    recovers("object store slow by 500 ms", stream)
    proxy.delay = 0.0

    proxy.errors = 0.1
    stream.land(files=9, rows=20, seed=2)
    recovers("503 to 10 % of requests", stream)
    proxy.errors = 0.0

    def cuts(request: Request) -> bool:
        """The store takes the first part of a micro-batch, and is gone before it says so."""
        if request.method == "PUT" and "/predictions/part-" in request.target:
            proxy.down = True
        return proxy.down

    proxy.lost_answers = cuts
    stream.land(files=6, rows=20, seed=3)
    stream.until(lambda: proxy.down)
    proxy.lost_answers = lambda request: False
    time.sleep(seconds)
    proxy.down = False
    recovers(f"object store down {seconds} s in mid-batch{', checkpoint in it' if places else ''}", stream)

    lost = threading.Event()

    def loses_a_commit(request: Request) -> bool:
        is_commit = request.method == "PUT" and "/predictions/_delta_log/0" in request.target
        if not is_commit or lost.is_set():
            return False
        lost.set()
        return True

    proxy.lost_answers = loses_a_commit
    stream.land(files=3, rows=20, seed=4)
    recovers("answer to a commit lost", stream)
    assert lost.is_set()
    oracle.assert_exactly_once(stream)


@pytest.fixture
def served(mlflow_server: MlflowServer, storage: Storage, feed: Feed) -> Registry:
    """A registry behind a server, with three versions whose artifacts are in a bucket; the first is in Production."""
    from tests.support.register_kit import a_version

    settings = load_settings(flags={"registry.tracking_uri": mlflow_server.url, "storage": storage.model_dump()})
    registry = open_registry(settings)
    for alpha in (0.01, 0.1, 0.3):
        a_version(feed, registry, alpha)
    return registry


@pytest.mark.faults_long
def test_a_stream_goes_on_with_its_model_whatever_becomes_of_the_registry(
    in_bucket: Callable[..., Stream],
    served: Registry,
    mlflow_server: MlflowServer,
    object_store: ObjectStore,
    feed: Feed,
    recovers: Callable[..., None],
) -> None:
    newest = int(served.versions(feed.name)[0].version)
    first, second, damaged = (str(newest - back) for back in (2, 1, 0))
    served.promote(feed.name, first, feed)
    stream, oracle = in_bucket(mlflow_server.url), Oracle(feed, served)
    stream.land(files=2, rows=20, seed=0)
    stream.start()
    stream.until(lambda: oracle.tally(stream).lost == 0)

    mlflow_server.kill()
    begun = time.monotonic()
    stream.land(files=2, rows=20, seed=1)
    recovers("MLflow down at swap time", stream)
    stream.until(lambda: '"registry_down"' in stream.log(), ALERT_SECONDS)
    assert time.monotonic() - begun < ALERT_SECONDS
    mlflow_server.start()
    stream.until(lambda: '"registry_up"' in stream.log())

    served.promote(feed.name, second, feed)
    for seed in range(100, 160):  # it takes over with the first micro-batch after it was made ready
        stream.land(files=1, rows=5, seed=seed)
        time.sleep(1)
        if '"swapped"' in stream.log():
            break
    _damage(object_store, served, feed, damaged)
    client = served.connection.client
    assert client is not None
    client.set_registered_model_alias(feed.name, "production", damaged)
    stream.until(lambda: '"refused"' in stream.log())
    stream.land(files=2, rows=20, seed=2)
    recovers("artifact damaged in the store", stream)
    oracle.assert_exactly_once(stream)
    assert set(stream.table("predictions").model_version) == {first, second}


def _damage(store: ObjectStore, registry: Registry, feed: Feed, version: str) -> None:
    """Flip a byte of the largest file of a version."""
    ref = registry.resolve(f"models:/{feed.name}/{version}")
    assert registry.connection.client is not None
    model = registry.connection.client.get_logged_model(ref.source.removeprefix("models:/"))
    bucket, _, prefix = model.artifact_location.removeprefix("s3://").partition("/")
    client = store.client
    objects = client.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    key = max(objects, key=lambda entry: entry["Size"])["Key"]
    content = bytearray(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    content[len(content) // 2] ^= 0xFF
    client.put_object(Bucket=bucket, Key=key, Body=bytes(content))
