"""Journals: durable lines, in a file and in objects alike, whatever crashed in between. The objects are in memory."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import StorageError
from streamscore.storage import journal as journal_module
from streamscore.storage.journal import BucketJournal, LocalJournal
from tests.support.crash import Crash
from tests.support.journal_contract import STEP, JournalContract, ObjectsContract, Open, assert_is_a_list, numbers


class MemoryFolder:
    """The objects of a prefix.

    Attributes:
        changes: how many more it makes before the process dies; None: as many as are wanted.
        on_read: called before each read.
    """

    uri = "s3://memory/journal"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.changes: int | None = None
        self.on_read: Callable[[], None] = lambda: None

    def names(self) -> list[str]:
        return sorted(self.objects)

    def read(self, name: str) -> bytes | None:
        self.on_read()
        return self.objects.get(name)

    def write(self, name: str, data: bytes) -> None:
        self._change()
        self.objects[name] = data

    def create(self, name: str, data: bytes) -> bool:
        self._change()
        return self.objects.setdefault(name, data) == data

    def delete(self, name: str) -> None:
        self._change()
        self.objects.pop(name, None)

    def delete_all(self, names: Iterable[str]) -> None:
        for name in names:
            self.delete(name)

    def _change(self) -> None:
        if self.changes is not None:
            self.changes -= 1
            if self.changes < 0:
                raise Crash


@pytest.fixture
def memory() -> MemoryFolder:
    return MemoryFolder()


@pytest.fixture
def fold_at_8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "FOLD", 8)


def bucket_journal(folder: Any) -> BucketJournal:
    return BucketJournal(folder)


class TestFileJournal(JournalContract):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> Open:
        return lambda: LocalJournal(tmp_path / "journal.jsonl")


class TestObjectJournal(ObjectsContract):
    @pytest.fixture
    def opened(self, memory: MemoryFolder) -> Open:
        return lambda: bucket_journal(memory)

    @pytest.fixture
    def pieces(self, memory: MemoryFolder) -> Callable[[], list[str]]:
        return memory.names


def test_a_line_that_a_crash_tore_is_no_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"a\nb\nhal")
    journal = LocalJournal(path)
    assert list(journal.lines()) == [b"a", b"b"]
    journal.append(b"c")
    assert path.read_bytes() == b"a\nb\nc\n"


def test_an_append_that_failed_may_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be in already, and is in twice then, which the ledger knows; but no line is torn."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    journal = LocalJournal(tmp_path / "journal.jsonl")
    journal.append(b"a")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        journal.append(b"b")
    monkeypatch.undo()
    (tmp_path / "journal.jsonl").write_bytes(b"a\nb\nhal")
    journal.append(b"b")
    assert list(journal.lines()) == [b"a", b"b", b"b"]


def test_folding_that_crashes_at_any_step_loses_and_doubles_nothing(memory: MemoryFolder, fold_at_8: None) -> None:
    crashed = 0
    for step in range(12):
        memory.objects.clear()
        memory.changes = None
        journal = bucket_journal(memory)
        for line in numbers(15):
            journal.append(line)
        memory.changes = step
        try:
            bucket_journal(memory).append(b"15")
        except Crash:
            crashed += 1
        memory.changes = None
        again = bucket_journal(memory)
        left = list(again.lines())
        assert left in (numbers(15), numbers(16))
        again.append(b"%d" % len(left))
        assert list(bucket_journal(memory).lines()) == numbers(len(left) + 1)
        bucket_journal(memory).cut(4)
        assert list(bucket_journal(memory).lines()) == numbers(4)
    assert crashed > 5


@pytest.mark.parametrize("keep", [0, 1, 3, 5, 8, 9])
def test_a_cut_that_crashes_at_any_step_leaves_too_many_lines_and_no_gap(
    memory: MemoryFolder, fold_at_8: None, keep: int
) -> None:
    for step in range(20):
        memory.objects.clear()
        memory.changes = None
        journal = bucket_journal(memory)
        for line in numbers(8):
            journal.append(line)
        memory.changes = 3  # folding stops half-way
        with pytest.raises(Crash):
            journal.append(b"8")
        memory.changes = None
        bucket_journal(memory).append(b"8", b"9", b"10")
        memory.changes = step
        try:
            bucket_journal(memory).cut(keep)
        except Crash:
            memory.changes = None
            left = list(bucket_journal(memory).lines())
            assert left == numbers(len(left)) and len(left) >= keep
            bucket_journal(memory).cut(keep)
        memory.changes = None
        assert list(bucket_journal(memory).lines()) == numbers(keep)


def test_who_reads_while_the_owner_folds_reads_all(memory: MemoryFolder, fold_at_8: None) -> None:
    owner = bucket_journal(memory)
    for line in numbers(7):
        owner.append(line)
    reader = bucket_journal(memory)

    def fold() -> None:
        memory.on_read = lambda: None
        owner.append(b"7")
        owner.append(b"8")

    memory.on_read = fold
    assert list(reader.lines()) == numbers(9)


@given(st.lists(STEP, max_size=25), st.sampled_from(["file", "objects"]))
@settings(max_examples=150, deadline=None)
def test_a_journal_is_a_list(tmp_path_factory: pytest.TempPathFactory, steps: list[Any], kind: str) -> None:
    path, memory = tmp_path_factory.mktemp("journal") / "journal.jsonl", MemoryFolder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_module, "FOLD", 4)
        patch.setattr("os.fsync", lambda _: None)
        assert_is_a_list(lambda: LocalJournal(path) if kind == "file" else bucket_journal(memory), steps)
