"""Journals and ledgers on object stores; `unit/test_journal.py` has the steps between which they may crash."""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import ConflictError, StorageError
from schemas.settings import Storage
from streamscore.storage import journal as journal_module
from streamscore.storage.bucket import BucketFolder
from streamscore.storage.journal import Journal
from streamscore.storage.retry import retry_storage
from tests.support.fixture_types import Bucket
from tests.support.journal_contract import STEP, ObjectsContract, Open, assert_is_a_list, numbers
from tests.support.proxy import Proxy

pytestmark = pytest.mark.system


@pytest.fixture
def checkpoint(bucket: Bucket, storage: Storage) -> BucketFolder:
    return BucketFolder(f"{bucket.uri}/check point", storage)


@pytest.fixture
def opened(checkpoint: BucketFolder) -> Open:
    return lambda: checkpoint.open_journal("journal")


@pytest.fixture
def pieces(checkpoint: BucketFolder) -> Callable[[], list[str]]:
    return lambda: checkpoint.names("journal")


@pytest.fixture
def proxy(bucket: Bucket) -> Iterator[Proxy]:
    with contextlib.closing(Proxy(bucket.store.endpoint)) as made:
        yield made


@pytest.fixture
def behind_proxy(bucket: Bucket, storage: Storage, proxy: Proxy) -> Open:
    """The same journal, through the proxy."""
    folder = BucketFolder(f"{bucket.uri}/check point", storage.model_copy(update={"endpoint": proxy.endpoint}))
    return lambda: folder.open_journal("journal")


@pytest.mark.both_stores
class TestStoreJournal(ObjectsContract):
    etag = "etag"


@pytest.mark.both_stores
def test_of_many_who_append_at_once_one_wins(opened: Open) -> None:
    def append(journal: Journal, line: bytes) -> bool:
        try:
            journal.append(line)
        except ConflictError:
            return False
        return True

    for number in range(10):
        journals = [opened() for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            assert [len(list(lines)) for lines in pool.map(lambda j: j.lines(), journals)] == [number] * 8
            assert sum(pool.map(append, journals, numbers(8))) == 1


@given(st.lists(STEP, max_size=8))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_journal_is_a_list(bucket: Bucket, storage: Storage, steps: list[Any]) -> None:
    folder = BucketFolder(f"{bucket.uri}/{uuid.uuid4()}", storage)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_module, "FOLD", 3)
        assert_is_a_list(lambda: folder.open_journal("j"), steps)


def test_an_append_whose_answer_was_lost_is_in_once(opened: Open, behind_proxy: Open, proxy: Proxy) -> None:
    journal = behind_proxy()
    journal.append(b"0")
    lost = iter([True])
    proxy.lost_answers = lambda request: request.method == "PUT" and next(lost, False)
    journal.append(b"1")
    assert proxy.count("PUT") == 3  # boto3 tried again, and what it found is ours
    proxy.lost_answers = lambda request: request.method == "PUT"
    with pytest.raises(StorageError, match=r"without an answer|no answer"):
        journal.append(b"2")
    proxy.lost_answers = lambda request: False
    journal.append(b"2")
    assert list(opened().lines()) == numbers(3)


def test_an_answer_that_was_cut_off_is_a_storage_error(opened: Open, behind_proxy: Open, proxy: Proxy) -> None:
    opened().append(b"a line that is longer than a listing is not " * 100)
    journal = behind_proxy()
    proxy.cut = 2_000
    with pytest.raises(StorageError, match="cannot read"):
        list(journal.lines())
    proxy.cut = None
    assert len(list(journal.lines())) == 1


def test_slow_and_failing_answers_are_ridden_out(opened: Open, behind_proxy: Open, proxy: Proxy) -> None:
    proxy.errors, proxy.delay = 0.1, 0.02
    journal = behind_proxy()
    for line in numbers(40):
        retry_storage(30, partial(journal.append, line))
    assert list(opened().lines()) == numbers(40)
