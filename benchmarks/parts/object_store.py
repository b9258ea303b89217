"""Landing folder and table in MinIO on loopback, the checkpoint local: from before the PUT to the visible commit.

Every request goes through a proxy, which counts it and costs its share; streamscore's and Spark's alike.
"""

import json
import time
from dataclasses import dataclass
from typing import Any, ClassVar

from benchmarks.bench import Bench
from benchmarks.contestant import Contestant
from benchmarks.parts.latency import start, steady
from benchmarks.sizes import SLOW
from benchmarks.table_log import TableLog, in_bucket
from schemas.settings import Storage
from services.object_store import ObjectStore
from services.programs import missing
from services.start import Services
from streamscore.storage.object_store import hadoop_conf
from tests.support.proxy import Proxy

BUCKET = "bench"
SLOW_FILES = 10
IDLE = 5.0  # seconds in which LISTs are counted too


def measure(bench: Bench) -> Any:
    """Contestant → waits, and LIST requests a second while files come and while none does."""
    if lacking := missing("minio"):
        bench.left_out["all, on the object store"] = lacking
        return {}
    found, folder = {}, bench.scratch / "store"
    folder.mkdir()
    with Services(folder) as services:
        store = services.object_store("minio")
        store.make_bucket(BUCKET)
        for name in bench.able(bench.sizes.contestants["object_store"]):
            proxy = Proxy(store.endpoint)
            try:
                found[name] = of_one(bench, name, store, proxy)
            finally:
                proxy.close()
    return found


def of_one(bench: Bench, name: str, store: ObjectStore, proxy: Proxy) -> dict[str, Any]:
    """One contestant, with a proxy of its own."""
    sizes = bench.sizes
    limit = bench.limit("object_store", share=1 / len(sizes.contestants["object_store"]))
    with bench.contestant(name) as local:
        local.environment = {**local.environment, **places(name, store, proxy)}
        contestant = InStore(local.entry, local.folder, local.environment, client=store.client, prefix=name)
        try:
            files = min(SLOW_FILES, sizes.store_files) if contestant.entry.pace == SLOW else sizes.store_files
            first = start(contestant, bench.text)
            steady(contestant, bench.text, max(1, files // 10), limit)
            begun = time.monotonic()
            waits = steady(contestant, bench.text, files, limit)
            lists = proxy.count("LIST", begun) / (time.monotonic() - begun)
            begun = time.monotonic()
            time.sleep(min(IDLE, sizes.idle))
            idle_lists = proxy.count("LIST", begun) / (time.monotonic() - begun)
        finally:
            contestant.stop()
    return {"first_s": first, "waits_s": waits, "lists_per_s": lists, "idle_lists_per_s": idle_lists}


def places(name: str, store: ObjectStore, proxy: Proxy) -> dict[str, str]:
    """Variables that put a contestant into the bucket."""
    storage = Storage(endpoint=proxy.endpoint, path_style=True)
    return {
        "AWS_ACCESS_KEY_ID": store.access_key,
        "AWS_SECRET_ACCESS_KEY": store.secret_key,
        "STREAMSCORE_LANDING": f"s3://{BUCKET}/{name}/landing",
        "STREAMSCORE_TABLES__PATH": f"s3://{BUCKET}/{name}/tables",
        "STREAMSCORE_STORAGE__ENDPOINT": storage.endpoint,
        "STREAMSCORE_STORAGE__PATH_STYLE": "true",
        "BENCH_PREFIX": f"s3a://{BUCKET}/{name}",
        "BENCH_HADOOP": json.dumps(hadoop_conf(storage)),
    }


@dataclass
class InStore(Contestant):
    """A contestant whose landing folder and table are in a bucket; a file is landed by a PUT, which counts.

    Attributes:
        client: boto3's, past the proxy.
        prefix: holds `landing` and `tables`.
    """

    client: Any = None
    prefix: str = ""
    look_seconds: ClassVar[float] = 0.005  # a look is a request, which takes its share of two cores
    _number: int = 0

    def __post_init__(self) -> None:
        self.log = TableLog(in_bucket(self.client, BUCKET, f"{self.prefix}/tables/predictions"))

    def put(self, text: bytes) -> float:
        begun = time.monotonic()
        self.client.put_object(Bucket=BUCKET, Key=f"{self.prefix}/landing/{self._number:06}.csv", Body=text)
        self._number += 1
        return begun
