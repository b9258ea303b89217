"""Objects that may not be read: one of them is refused, and if it is all of them, storage has failed."""

import pytest

from schemas.errors import StorageError
from schemas.reasons import Reason
from schemas.settings import Storage
from streamscore.landing.manifest import LandedFile
from streamscore.reading.fetch import BucketSource
from streamscore.reading.rejects import BadFileError
from tests.support.listed_store import ListedStore, served


def read(store: ListedStore, key: str) -> bytes:
    with served(store):
        return BucketSource(LandedFile(f"s3://bucket/{key}", 1, 0, "e"), Storage()).read(1)


@pytest.fixture
def store() -> ListedStore:
    made = ListedStore()
    made.objects |= dict.fromkeys(["in/", "in/a.csv", "in/b.csv", "in/sub/c.csv"], b"x")
    return made


@pytest.mark.parametrize("key", ["in/a.csv", "in/sub/c.csv"])
@pytest.mark.parametrize("code", ["AccessDenied", "InvalidRequest", "KMS.DisabledException"])
def test_one_object_that_may_not_be_read_is_refused(store: ListedStore, key: str, code: str) -> None:
    store.denied[key] = code
    with pytest.raises(BadFileError) as refused:
        read(store, key)
    assert refused.value.refusal.reason == Reason.UNREADABLE
    assert f"found '{code}', wanted an object that may be read" in refused.value.refusal.detail
    assert read(store, "in/b.csv") == b"x"


def test_rights_that_are_missing_for_all_are_the_storages(store: ListedStore) -> None:
    store.denied |= dict.fromkeys(store.objects, "AccessDenied")
    with pytest.raises(StorageError, match="may not do that"):
        read(store, "in/a.csv")


def test_expired_credentials_are_the_storages(store: ListedStore) -> None:
    store.denied["in/a.csv"] = "ExpiredToken"
    with pytest.raises(StorageError, match="expired"):
        read(store, "in/a.csv")
