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

from schemas.errors import ConflictError, RecoveryError, StorageError
from schemas.settings import Storage
from streamscore.landing.ledger import Ledger
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.storage import journal as journal_module
from streamscore.storage.bucket import BucketFolder
from streamscore.storage.journal import Journal
from streamscore.storage.retry import retry_storage
from tests.support.fixture_types import Bucket
from tests.support.proxy import Proxy

pytestmark = pytest.mark.system

Open = Callable[[], Journal]


@pytest.fixture
def opened(bucket: Bucket, storage: Storage) -> Open:
    """Opens the journal of the test, each time as a process that just started."""
    folder = BucketFolder(f"{bucket.uri}/check point", storage)
    return lambda: folder.open_journal("journal")


@pytest.fixture
def proxy(bucket: Bucket) -> Iterator[Proxy]:
    with contextlib.closing(Proxy(bucket.store.endpoint)) as made:
        yield made


@pytest.fixture
def behind_proxy(bucket: Bucket, storage: Storage, proxy: Proxy) -> Open:
    """The same journal, through the proxy."""
    folder = BucketFolder(f"{bucket.uri}/check point", storage.model_copy(update={"endpoint": proxy.endpoint}))
    return lambda: folder.open_journal("journal")


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


@pytest.mark.both_stores
def test_lines_come_back_in_their_order(opened: Open) -> None:
    assert list(opened().lines()) == []
    journal = opened()
    journal.append(b"0")
    journal.append(b"1", b"", b"2")
    opened().append("ü%+ ".encode())
    assert list(opened().lines()) == [b"0", b"1", b"", b"2", "ü%+ ".encode()]
    opened().cut(3)
    assert list(opened().lines()) == [b"0", b"1", b""]
    opened().cut(0)
    assert list(opened().lines()) == []


@pytest.mark.both_stores
def test_of_two_who_append_one_is_told(opened: Open) -> None:
    first, second = opened(), opened()
    assert list(second.lines()) == []
    first.append(b"theirs", b"too")
    with pytest.raises(ConflictError, match=r"journal/0+ is of another driver"):
        second.append(b"mine")
    assert list(opened().lines()) == [b"theirs", b"too"]


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


@pytest.mark.both_stores
def test_many_objects_become_one(opened: Open, monkeypatch: pytest.MonkeyPatch, bucket: Bucket) -> None:
    monkeypatch.setattr(journal_module, "FOLD", 40)
    journal = opened()
    for line in numbers(45):
        journal.append(line)
    assert list(opened().lines()) == numbers(45)
    assert bucket.store.client.list_objects_v2(Bucket=bucket.name)["KeyCount"] <= 40
    journal.append(b"45")
    assert list(journal.lines()) == list(opened().lines()) == numbers(46)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.lists(st.binary(max_size=5).filter(lambda b: b"\n" not in b), min_size=1)),
            st.tuples(st.just("cut"), st.integers(0, 9)),
            st.tuples(st.just("open"), st.none()),
        ),
        max_size=8,
    )
)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_journal_is_a_list(bucket: Bucket, storage: Storage, steps: list[Any]) -> None:
    folder = BucketFolder(f"{bucket.uri}/{uuid.uuid4()}", storage)
    journal, wanted = folder.open_journal("j"), list[bytes]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_module, "FOLD", 3)
        for step, value in steps:
            if step == "append":
                journal.append(*value)
                wanted += value
            elif step == "cut":
                journal.cut(value)
                del wanted[value:]
            else:
                journal = folder.open_journal("j")
        assert list(journal.lines()) == list(folder.open_journal("j").lines()) == wanted


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


def manifest(seq: int, name: str = "") -> BatchManifest:
    return BatchManifest(seq, (LandedFile(f"s3://b/in/{name or seq}.csv", 1, 1, "etag"),))


@pytest.mark.both_stores
def test_a_ledger_is_cut_where_batches_never_were_and_refused_where_it_has_a_gap(opened: Open) -> None:
    ledger = Ledger(opened())
    for seq in range(6):
        ledger.append(manifest(seq))
    again = Ledger(opened())
    assert [m.seq for m in again.restore(3)] == [0, 1, 2, 3]
    again.append(manifest(4, "other"))
    assert [m.files[0].path for m in Ledger(opened()).restore(4)][3:] == ["s3://b/in/3.csv", "s3://b/in/other.csv"]
    again.append(manifest(6))
    with pytest.raises(RecoveryError, match=r"after manifest 4 \(manifest 6 follows\).*--recover"):
        list(Ledger(opened()).restore(6))
