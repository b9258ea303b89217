"""Files that land in an object store: each found once, oldest first, by few LISTs, whatever crashed in between."""

import contextlib
import io
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import StorageError
from schemas.reasons import Reason
from schemas.settings import Storage
from streamscore.landing.find import DiscoveryOptions, FileDiscovery
from streamscore.landing.manifest import BatchManifest
from streamscore.reading.fetch import opener
from streamscore.reading.rejects import BadFileError
from streamscore.storage.bucket import BucketFolder
from streamscore.storage.stream_paths import StreamPaths
from tests.support.finder_kit import AskedBySpark
from tests.support.finding_contract import START, FindingContract, LandingPlace, next_after
from tests.support.fixture_types import Bucket
from tests.support.proxy import Proxy

pytestmark = pytest.mark.system

MANY = 2_500


class Landing(LandingPlace):
    """`in/` of a bucket."""

    def __init__(self, bucket: Bucket, storage: Storage) -> None:
        self.bucket, self.storage, self.client = bucket, storage, bucket.store.client
        super().__init__(self.paths_by(storage))

    def paths_by(self, storage: Storage) -> StreamPaths:
        landing, checkpoint = (BucketFolder(f"{self.bucket.uri}/{name}", storage) for name in ("in", "checkpoint"))
        return StreamPaths(landing, f"{self.bucket.uri}/tables", checkpoint, Path(os.devnull), storage)

    def land(self, name: str, text: str = "x") -> str:
        self.client.put_object(Bucket=self.bucket.name, Key=f"in/{name}", Body=text.encode())
        return name

    def land_many(self, names: list[str]) -> None:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(self.land, names))

    def names(self) -> list[str]:
        page = self.client.list_objects_v2(Bucket=self.bucket.name, Prefix="in/")
        return [entry["Key"].removeprefix("in/") for entry in page.get("Contents", ())]

    def finder(self, max_files: int = 10_000, clean: str = "off", storage: Storage | None = None) -> FileDiscovery:
        """One that reaches the store in this way, if any is given."""
        paths = self.paths_by(storage) if storage else self.paths
        return AskedBySpark(DiscoveryOptions(paths, max_files, 2**30, clean))


@pytest.fixture
def landing(bucket: Bucket, storage: Storage) -> Landing:
    return Landing(bucket, storage)


@pytest.fixture
def proxy(bucket: Bucket) -> Iterator[Proxy]:
    with contextlib.closing(Proxy(bucket.store.endpoint)) as made:
        yield made


@pytest.fixture
def behind_proxy(storage: Storage, proxy: Proxy) -> Storage:
    return storage.model_copy(update={"endpoint": proxy.endpoint})


@pytest.mark.both_stores
class TestFindingInABucket(FindingContract):
    @pytest.fixture
    def place(self, landing: Landing) -> LandingPlace:
        return landing


@pytest.mark.both_stores
def test_objects_come_oldest_first_each_once(landing: Landing) -> None:
    landing.land("c.csv")
    time.sleep(1.1)  # an object's time has seconds only, in some stores
    for name in ("b.csv", "a.csv"):
        landing.land(name)
    found = landing.finder(max_files=2)
    first = found.after(START, 100)
    second = found.after(first, 100)
    assert (landing.files_of(first)[0], len(first.files)) == ("c.csv", 2)
    assert sorted(landing.files_of(first) + landing.files_of(second)) == ["a.csv", "b.csv", "c.csv"]
    assert found.after(second, 100) == second
    landing.land("0.csv")
    third = next_after(found, second)
    assert landing.files_of(third) == ["0.csv"]
    assert found.after(third, 100) == third


@pytest.mark.both_stores
def test_an_object_that_is_put_again_is_changed_only_if_its_content_is(landing: Landing) -> None:
    landing.land("a.csv", "one")
    found = landing.finder()
    first = found.after(START, 100)
    time.sleep(1.1)
    landing.land("a.csv", "one")
    assert found.after(first, 100) == found.after(first, 100) == first
    landing.land("a.csv", "two")
    second = next_after(found, first)
    assert landing.files_of(second) == ["a.csv!"]
    assert found.after(second, 100) == second


@pytest.mark.slow
def test_names_out_of_order_are_found_among_many(landing: Landing, proxy: Proxy, behind_proxy: Storage) -> None:
    out_of_order = ["00000.csv", "01000x.csv", "sub/01.csv"]
    landing.land_many([f"{number:05}.csv" for number in range(1, MANY)])
    found = landing.finder(storage=behind_proxy)
    first = found.after(START, 10_000)
    assert len(first.files) == len(set(first.files)) == MANY - 1
    landing.land("zzz.csv")
    begun = next_after(found, first)
    assert landing.files_of(begun) == ["zzz.csv"]
    for name in out_of_order:
        landing.land(name)
    seen = list[str]()
    while len(seen) < len(out_of_order):
        begun, before = next_after(found, begun), begun  # a walk begins ten times its length after the last
        assert begun != before
        seen += landing.files_of(begun)
    assert sorted(seen) == out_of_order
    assert 0 < lists_while_idle(found, begun, proxy) <= 20


def test_names_in_order_cost_short_lists_and_others_are_found_too(
    landing: Landing, proxy: Proxy, behind_proxy: Storage
) -> None:
    landing.land_many([f"{number:03}.csv" for number in range(300)])
    found = landing.finder(storage=behind_proxy)
    begun = found.after(START, 10_000)
    proxy.requests.clear()
    for number in range(300, 320):
        landing.land(f"{number:03}.csv")
        begun = next_after(found, begun)
        assert landing.files_of(begun) == [f"{number:03}.csv"]
    lists = [request.query for request in proxy.requests if request.kind == "LIST"]
    assert len([query for query in lists if "start-after" in query]) > len(lists) / 2
    look: Any = found._watcher
    for name in ("299b.csv", "120b.csv", "1/1.csv"):
        time.sleep(1.1)  # an object's time has seconds only, in some stores
        landing.land(name)
        begun = next_after(found, begun)
        assert landing.files_of(begun) == [name]
        assert not look._is_ordered
    time.sleep(1.1)
    landing.land("t.csv")
    begun = next_after(found, begun)
    assert landing.files_of(begun) == ["t.csv"] and look._is_ordered


def test_an_archive_does_not_hide_what_lands_beside_it(landing: Landing) -> None:
    """Its keys are greater than those that begin with a date."""
    landing.land_many(
        [f"_archive/{number:05}.csv" for number in range(1_100)] + [f"2026-{n:05}.csv" for n in range(10)]
    )
    landing.land_many([f"2026-{n:05}.csv" for n in range(10, 1_100)])
    found = landing.finder()
    begun = found.after(START, 10_000)
    assert len(begun.files) == 1_100
    look: Any = found._watcher
    for number in range(3):
        time.sleep(0.1)
        landing.land(f"2027-{number}.csv")
        begun = next_after(found, begun)
        assert landing.files_of(begun) == [f"2027-{number}.csv"]
        assert look._newest[1] == f"in/2027-{number}.csv"


def test_an_idle_finder_lists_at_most_twenty_times_a_second(
    landing: Landing, proxy: Proxy, behind_proxy: Storage
) -> None:
    landing.land("a.csv")
    found = landing.finder(storage=behind_proxy)
    assert 0 < lists_while_idle(found, found.after(START, 100), proxy) <= 20


def lists_while_idle(found: FileDiscovery, begun: BatchManifest, proxy: Proxy) -> int:
    """The most LISTs in one of three seconds."""
    proxy.requests.clear()
    until = time.monotonic() + 3
    while time.monotonic() < until:
        assert found.after(begun, 100) == begun
    assert proxy.count("PUT") <= 2  # of `begun`, into Spark's log and into the ledger
    return proxy.most_in_a_second("LIST")


def test_a_stale_listing_doubles_and_loses_nothing(landing: Landing, proxy: Proxy, behind_proxy: Storage) -> None:
    landing.land("a.csv")
    found = landing.finder(storage=behind_proxy, clean="archive")
    first = found.after(START, 100)
    proxy.stale_listing = "in/"
    landing.land("b.csv")
    second = next_after(found, first)
    assert landing.files_of(second) == ["b.csv"]
    for _ in range(5):  # a.csv is archived, and still listed
        assert found.after(second, 100) == second
    landing.land("c.csv")
    for _ in range(5):
        assert found.after(second, 100) == second
    proxy.stale_listing = None
    assert landing.files_of(next_after(found, second)) == ["c.csv"]


def test_slow_and_failing_answers_are_ridden_out(landing: Landing, proxy: Proxy, behind_proxy: Storage) -> None:
    names = [f"{number}.csv" for number in range(20)]
    landing.land_many(names)
    proxy.errors, proxy.delay = 0.1, 0.5
    found = landing.finder(storage=behind_proxy)
    manifest = found.after(START, 100)
    assert sorted(landing.files_of(manifest)) == sorted(names)
    with opener(manifest.files, behind_proxy) as open_landed:
        assert [open_landed(file).read(10) for file in manifest.files] == [b"x"] * 20
    assert found.after(manifest, 100) == manifest


@pytest.mark.both_stores
def test_an_object_that_is_gone_or_another_is_refused(landing: Landing) -> None:
    for name in ("changed.csv", "gone.csv", "kept.csv"):
        landing.land(name, "as it was")
    files = landing.finder().after(START, 100).files
    landing.land("changed.csv", "as it is")
    landing.client.delete_object(Bucket=landing.bucket.name, Key="in/gone.csv")
    with opener(files, landing.storage) as open_landed:
        said: dict[str, bytes | Reason] = {}
        for file in files:
            try:
                said[landing.name_of(file)] = open_landed(file).read(100)
            except BadFileError as error:
                said[landing.name_of(file)] = error.refusal.reason
    assert said == {"changed.csv": Reason.FILE_CHANGED, "gone.csv": Reason.FILE_MISSING, "kept.csv": b"as it was"}


@pytest.mark.parametrize("size", [1_000, 2**20, 2**22])
def test_a_body_that_is_cut_off_is_a_storage_error(
    landing: Landing, proxy: Proxy, behind_proxy: Storage, size: int
) -> None:
    """However much is asked for at a time: a short answer must not pass for the end."""
    landing.land("a.csv", "x" * 300_000)
    (file,) = landing.finder().after(START, 100).files
    proxy.cut = 200_000
    with opener([file], behind_proxy) as open_landed:
        source, chunks = open_landed(file), list[bytes]()
        with pytest.raises(StorageError, match=r"cannot read s3://.*/in/a\.csv"):
            chunks.extend(iter(lambda: source.read(size), b""))
        source.close()
    assert sum(map(len, chunks)) <= 200_000


def test_a_body_that_ends_early_never_passes_for_the_whole_file(landing: Landing) -> None:
    """A server that goes away closes the connection, which looks like the end of the body."""
    landing.land("a.csv", "x" * 300_000)
    (file,) = landing.finder().after(START, 100).files
    with opener([file], landing.storage) as open_landed:
        source: Any = open_landed(file)
        source._body = io.BytesIO(b"x" * 100_000)
        with pytest.raises(StorageError, match=r"ended after 100,000 of 300,000 bytes"):
            source.read(300_001)


def test_files_are_fetched_ahead_and_none_is_held_afterwards(
    landing: Landing, proxy: Proxy, behind_proxy: Storage
) -> None:
    landing.land_many([f"{number:02}.csv" for number in range(40)])
    files = landing.finder().after(START, 100).files
    proxy.delay = 0.5
    began = time.monotonic()
    with opener(files, behind_proxy) as open_landed:
        for file in files[:32]:
            source = open_landed(file)
            assert source.read(10) == b"x"
            source.close()
    assert time.monotonic() - began < 32 * 0.5 / 2
    assert proxy.count("GET") <= 40
