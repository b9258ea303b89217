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
from streamscore.landing.archive import REFUSALS, Archive
from streamscore.landing.find import DiscoveryOptions, FileDiscovery
from streamscore.landing.manifest import BatchManifest, LandedFile, source_file
from streamscore.reading.fetch import opener
from streamscore.reading.rejects import BadFileError
from streamscore.storage.bucket import BucketFolder
from streamscore.storage.stream_paths import StreamPaths
from tests.support.finder_kit import AskedBySpark
from tests.support.fixture_types import Bucket
from tests.support.proxy import Proxy
from tests.support.wait import HANG_SECONDS

pytestmark = pytest.mark.system

START = BatchManifest(0)
MANY = 2_500


class Landing:
    """`in/` of a bucket, and finders of it, each as a new process makes it."""

    def __init__(self, bucket: Bucket, storage: Storage) -> None:
        self.bucket, self.storage = bucket, storage
        self.uri, self.checkpoint = f"{bucket.uri}/in", BucketFolder(f"{bucket.uri}/checkpoint", storage)
        self.client = bucket.store.client

    def land(self, name: str, text: str = "x") -> str:
        self.client.put_object(Bucket=self.bucket.name, Key=f"in/{name}", Body=text.encode())
        return name

    def land_many(self, names: list[str]) -> None:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(self.land, names))

    def names(self, under: str = "in/") -> list[str]:
        page = self.client.list_objects_v2(Bucket=self.bucket.name, Prefix=under)
        return [entry["Key"][len(under) :] for entry in page.get("Contents", ())]

    def finder(self, max_files: int = 10_000, clean: str = "off", storage: Storage | None = None) -> FileDiscovery:
        storage = storage or self.storage
        landing, checkpoint = BucketFolder(self.uri, storage), BucketFolder(self.checkpoint.uri, storage)
        paths = StreamPaths(landing, f"{self.bucket.uri}/tables", checkpoint, Path(os.devnull), storage)
        return AskedBySpark(DiscoveryOptions(paths, max_files, 2**30, clean))

    def refuse(self, file: LandedFile) -> None:
        landing = BucketFolder(self.uri, self.storage)
        Archive(landing, "delete", self.checkpoint.open_journal(REFUSALS), ()).note_refused([file.path])

    def files_of(self, manifest: BatchManifest) -> list[str]:
        return [source_file(f, self.uri) + ("!" if f.changed else "") for f in manifest.files]


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


def next_after(found: FileDiscovery, begun: BatchManifest, seconds: float = HANG_SECONDS) -> BatchManifest:
    """The next manifest; asks as long as there is none."""
    until = time.monotonic() + seconds
    while (manifest := found.after(begun, 10_000)) == begun and time.monotonic() < until:
        pass
    return manifest


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
def test_names_may_be_anything_but_hidden(landing: Landing) -> None:
    wanted = ["a b.csv", "a+b.csv", "100%.csv", "a%20b.csv", "ü€.csv", "sub/deep/x y.csv", "D.CSV.GZ", "what?&=#.csv"]
    hidden = [".a.csv", "_b.csv", "c.txt", "_archive/d.csv", ".x/e.csv", "sub/_y/f.csv"]
    for name in wanted + hidden:
        landing.land(name, f"text of {name}")
    manifest = landing.finder().after(START, 100)
    assert sorted(landing.files_of(manifest)) == sorted(wanted)
    with opener(manifest.files, landing.storage) as open_landed:
        for file in manifest.files:
            text = open_landed(file).read(1000).decode()
            assert text == f"text of {source_file(file, landing.uri)}"


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


@pytest.mark.both_stores
@pytest.mark.parametrize(("clean", "left"), [("off", ["a b.csv"]), ("archive", ["_archive/a b.csv"]), ("delete", [])])
def test_clean_modes_act_once_the_batch_is_done(landing: Landing, clean: str, left: list[str]) -> None:
    landing.land("a b.csv")
    found = landing.finder(clean=clean)
    first = found.after(START, 100)
    assert landing.names() == ["a b.csv"]
    assert found.after(first, 100) == first
    assert landing.names() == left
    assert landing.finder(clean=clean).after(first, 100) == first


@pytest.mark.both_stores
@pytest.mark.parametrize("clean", ["archive", "delete"])
def test_content_that_changed_since_is_left_alone(landing: Landing, clean: str) -> None:
    landing.land("sub/a.csv", "one")
    found = landing.finder(clean=clean)
    first = found.after(START, 100)
    landing.land("sub/a.csv", "two")
    second = next_after(found, first)
    assert landing.files_of(second) == ["sub/a.csv!"] and landing.names() == ["sub/a.csv"]
    found.after(second, 100)
    assert landing.names() == [f"{'_archive' if clean == 'archive' else '_refused'}/sub/a.csv"]


def test_other_content_of_an_archived_path_is_archived_beside_it(landing: Landing) -> None:
    found, begun = landing.finder(clean="archive"), START
    for text in ("one", "two", "three"):
        landing.land("a.csv", text)
        begun = next_after(found, begun)
        found.after(begun, 100)
    assert landing.names() == [f"_archive/a.csv{again}" for again in ("", ".again", ".again.again")]


def test_delete_keeps_what_was_refused(landing: Landing) -> None:
    for name in ("good.csv", "refused.csv"):
        landing.land(name)
    found = landing.finder(clean="delete")
    first = found.after(START, 100)
    landing.refuse(next(file for file in first.files if "refused" in file.path))
    found.after(first, 100)
    assert landing.names() == ["_refused/refused.csv"]


@pytest.mark.both_stores
def test_a_new_process_knows_what_the_old_one_found(landing: Landing) -> None:
    landing.land("a.csv")
    first = landing.finder().after(START, 100)
    landing.land("b.csv")
    again = landing.finder()
    second = again.after(first, 100)
    assert landing.files_of(second) == ["b.csv"]
    again.after(second, 100)
    assert landing.finder().after(second, 100) == second
    assert [len(list(landing.checkpoint.open_journal("ledger").lines()))] == [3]
    assert landing.files_of(landing.finder().after(first, 100)) == ["b.csv"]  # its batch never was


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
                said[source_file(file, landing.uri)] = open_landed(file).read(100)
            except BadFileError as error:
                said[source_file(file, landing.uri)] = error.refusal.reason
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
