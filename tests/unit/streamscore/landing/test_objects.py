"""Objects of any key: each landed one is found once, and none that is odd hides another."""

from random import Random

import pytest

from schemas.settings import Storage
from streamscore.landing.manifest import LandedFile, source_file
from streamscore.landing.objects import BucketWatcher
from streamscore.reading.fetch import opener
from streamscore.storage.bucket import BucketFolder
from tests.support.listed_store import ListedStore, served

STORAGE = Storage()
PIECES = ["a", "/", "//", "é", "\x01", "\n", " ", "%2F", "\\xe9", "?", "#", "&", "+", "~", "x" * 100, ".csv"]
GOOD = ["a.csv", "A.CSV.GZ", "/a.csv", "//b.csv", "sub//c.csv", "x.csv/d.csv", "a\x01b.csv", "a\nb.csv", "100%.csv"]
OTHERS = ["", "sub/", "sub.csv/", ".a.csv", "_a.csv", "a.txt", ".x/a.csv", "../a.csv", "a/../b.csv", "_archive/a.csv"]


def found(store: ListedStore, uri: str = "s3://bucket/in") -> list[LandedFile]:
    with served(store):
        return BucketWatcher(BucketFolder(uri, STORAGE), 60, 0.05).look()


@pytest.mark.parametrize("page", [1, 2, 1000])
@pytest.mark.parametrize("prefix", ["in/", ""])
def test_odd_keys_are_found_or_passed_over_each_by_itself(prefix: str, page: int) -> None:
    store = ListedStore(page)
    store.objects |= {prefix + name: b"x" for name in GOOD + OTHERS if prefix + name} | {"elsewhere.txt": b""}
    files = found(store, f"s3://bucket/{prefix}".rstrip("/"))
    landing = f"s3://bucket/{prefix}".rstrip("/")
    assert sorted(file.key for file in files) == sorted(prefix + name for name in GOOD)
    assert len({source_file(file, landing) for file in files}) == len(GOOD)


def test_a_key_may_have_as_many_folders_as_it_has_letters() -> None:
    store = ListedStore()
    deep = "/" * 1000 + "a.csv"
    store.objects |= {f"in/{deep}": b"x", "in/b.csv": b"x"}
    assert sorted(file.key for file in found(store)) == sorted([f"in/{deep}", "in/b.csv"])


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.repeats) for seed in range(3, 60))])
def test_random_keys_are_found_once_and_read(seed: int) -> None:
    random = Random(seed)
    store = ListedStore(random.choice([3, 10]))
    for _ in range(60):
        name = "".join(random.choices(PIECES, k=random.randrange(12))) + random.choice([".csv", ".csv", ".txt", "/"])
        store.objects[f"in/{name}"[:1024]] = name.encode()
    landed = [key for key in store.objects if key.endswith(".csv") and "/." not in key]
    files = found(store)
    assert sorted(file.key for file in files) == sorted(landed)
    with served(store), opener(files, STORAGE) as open_landed:
        for file in files:
            assert open_landed(file).read(file.size) == store.objects[file.key]
