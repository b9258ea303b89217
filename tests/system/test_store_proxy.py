"""The fault proxy: what it forwards arrives unchanged, and each fault is what it says."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from schemas.settings import Storage
from services.object_store import ObjectStore
from services.start import Services
from streamscore.storage.object_store import client_of
from tests.support.fixture_types import Bucket
from tests.support.proxy import Proxy

pytestmark = pytest.mark.system


@pytest.fixture
def proxy(object_store: ObjectStore) -> Iterator[Proxy]:
    with contextlib.closing(Proxy(object_store.endpoint)) as made:
        yield made


@pytest.fixture
def client(proxy: Proxy, object_store: ObjectStore) -> Any:
    """boto3's, that tries nothing twice."""
    return client_at(proxy.endpoint, object_store, attempts=1)


def client_at(endpoint: str, store: ObjectStore, attempts: int, seconds: float = 10) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": attempts}, read_timeout=seconds)
    session = boto3.session.Session(store.access_key, store.secret_key)
    return session.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=config)


@pytest.mark.both_stores
@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_objects_go_and_come_as_they_are(bucket: Bucket, client: Any, size: int) -> None:
    """boto3's defaults: `Expect: 100-continue`, and a checksum in a trailer where the body is a stream."""
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    client.put_object(Bucket=bucket.name, Key="a b+%ü/1", Body=body)
    assert client.head_object(Bucket=bucket.name, Key="a b+%ü/1")["ContentLength"] == size
    assert client.get_object(Bucket=bucket.name, Key="a b+%ü/1")["Body"].read() == body
    assert [e["Key"] for e in client.list_objects_v2(Bucket=bucket.name)["Contents"]] == ["a b+%ü/1"]
    assert client.delete_object(Bucket=bucket.name, Key="a b+%ü/1")["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_requests_are_counted_by_kind_and_time(bucket: Bucket, client: Any, proxy: Proxy) -> None:
    began = time.monotonic()
    for _ in range(3):
        client.list_objects_v2(Bucket=bucket.name)
    client.put_object(Bucket=bucket.name, Key="a", Body=b"1")
    assert (proxy.count("LIST", since=began), proxy.count("PUT"), proxy.count("GET")) == (3, 1, 0)
    assert proxy.most_in_a_second("LIST") == 3
    assert proxy.count("LIST", since=time.monotonic()) == 0


def test_a_connection_serves_many_requests(bucket: Bucket, client: Any, proxy: Proxy) -> None:
    before = threading.active_count()
    for _ in range(20):
        client.put_object(Bucket=bucket.name, Key="a", Body=b"1")
        client.head_object(Bucket=bucket.name, Key="a")
    assert proxy.count("PUT") == 20 and threading.active_count() <= before + 1


def test_a_store_that_is_down_cuts_what_runs_and_refuses_what_comes(bucket: Bucket, client: Any, proxy: Proxy) -> None:
    proxy.delay = 5
    threading.Timer(0.3, lambda: setattr(proxy, "down", True)).start()
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(BotoCoreError):
            client.list_objects_v2(Bucket=bucket.name)
    assert time.monotonic() - began < 5  # before the answer would have come
    proxy.down, proxy.delay = False, 0
    client.list_objects_v2(Bucket=bucket.name)


@pytest.mark.needs("minio")
def test_a_store_that_is_started_again_is_reached_by_the_same_port(services: Services) -> None:
    store = services.object_store("minio", name="minio-behind-proxy")
    with contextlib.closing(Proxy(store.endpoint)) as proxy:
        client = client_at(proxy.endpoint, store, attempts=1)
        client.list_buckets()
        store.kill()
        with pytest.raises(BotoCoreError):
            client.list_buckets()
        store.start()
        client.list_buckets()
    store.stop()


def test_a_delay_is_waited_for(bucket: Bucket, client: Any, proxy: Proxy) -> None:
    proxy.delay = 0.4
    began = time.monotonic()
    client.list_objects_v2(Bucket=bucket.name)
    assert time.monotonic() - began >= 0.4


def test_errors_are_told_as_an_object_store_tells_them(bucket: Bucket, client: Any, proxy: Proxy) -> None:
    proxy.errors = 0.5
    codes = []
    for number in range(40):
        try:
            client.put_object(Bucket=bucket.name, Key=str(number), Body=b"x" * 2_000_000 if number % 2 else b"x")
            codes.append("")
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])
    assert set(codes) == {"", "SlowDown"} and 8 < codes.count("SlowDown") < 32
    proxy.errors = 0
    assert client.list_objects_v2(Bucket=bucket.name)["KeyCount"] == codes.count("")
    proxy.errors = 1
    with pytest.raises(ClientError, match="503"):
        client.head_object(Bucket=bucket.name, Key="0")


def test_an_answer_is_cut_off(bucket: Bucket, client: Any, proxy: Proxy) -> None:
    client.put_object(Bucket=bucket.name, Key="a", Body=b"x" * 100_000)
    proxy.cut = 70_000
    answer = client.get_object(Bucket=bucket.name, Key="a")
    with pytest.raises(BotoCoreError):
        answer["Body"].read()
    proxy.cut = 100_000
    assert len(client.get_object(Bucket=bucket.name, Key="a")["Body"].read()) == 100_000


def test_what_lost_its_answer_is_done(bucket: Bucket, client: Any, proxy: Proxy) -> None:
    proxy.lost_answers = lambda request: request.method == "PUT" and request.target.endswith("/lost")
    client.put_object(Bucket=bucket.name, Key="kept", Body=b"1")
    with pytest.raises(BotoCoreError):
        client.put_object(Bucket=bucket.name, Key="lost", Body=b"2")
    assert client.get_object(Bucket=bucket.name, Key="lost")["Body"].read() == b"2"


def test_a_listing_is_as_it_was(bucket: Bucket, client: Any, proxy: Proxy) -> None:
    def keys(prefix: str) -> list[str]:
        return [e["Key"] for e in client.list_objects_v2(Bucket=bucket.name, Prefix=prefix).get("Contents", ())]

    assert keys("a/") == keys("b/") == []
    proxy.stale_listing = "a/"
    for key in ("a/1", "b/1"):
        client.put_object(Bucket=bucket.name, Key=key, Body=b"1")
    assert (keys("a/"), keys("b/"), keys("a/1")) == ([], ["b/1"], ["a/1"])
    proxy.stale_listing = None
    assert keys("a/") == ["a/1"]


def test_a_header_is_withheld(bucket: Bucket, client: Any, proxy: Proxy, object_store: ObjectStore) -> None:
    """The signature covers it; so it goes too, and the bucket is open to all."""
    open_to_all(object_store, bucket.name)
    proxy.without_headers = frozenset({"if-none-match", "authorization"})
    for body in (b"1", b"2"):
        client.put_object(Bucket=bucket.name, Key="a", Body=body, IfNoneMatch="*")
    assert client.get_object(Bucket=bucket.name, Key="a")["Body"].read() == b"2"
    proxy.without_headers = frozenset()
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(Bucket=bucket.name, Key="a", Body=b"3", IfNoneMatch="*")


def test_many_use_it_at_once(bucket: Bucket, proxy: Proxy, storage: Storage) -> None:
    from concurrent.futures import ThreadPoolExecutor

    # of 300, one in four runs has a request that fails three times
    client = client_of(storage.model_copy(update={"endpoint": proxy.endpoint}), attempts=10)
    proxy.errors = 0.1
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: client.put_object(Bucket=bucket.name, Key=str(n), Body=b"1"), range(300)))
    proxy.errors = 0
    assert client.list_objects_v2(Bucket=bucket.name)["KeyCount"] == 300


def open_to_all(store: ObjectStore, bucket: str) -> None:
    policy = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": ["s3:*"], '
        f'"Resource": ["arn:aws:s3:::{bucket}", "arn:aws:s3:::{bucket}/*"]}}]}}'
    )
    store.client.put_bucket_policy(Bucket=bucket, Policy=policy)
