"""Journals: durable lines, in a file and in objects alike, whatever crashed in between. The objects are in memory."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ConflictError, RecoveryError, StorageError
from streamscore.landing.ledger import Ledger
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.storage import journal as journal_module
from streamscore.storage.journal import BucketJournal, Journal, LocalJournal
from tests.support.crash import Crash


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


Open = Callable[[], Journal]


@pytest.fixture
def memory() -> MemoryFolder:
    return MemoryFolder()


@pytest.fixture(params=["file", "objects"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, memory: MemoryFolder) -> Open:
    """Opens the journal of the test, each time as a process that just started."""
    if request.param == "file":
        return lambda: LocalJournal(tmp_path / "journal.jsonl")
    return lambda: bucket_journal(memory)


@pytest.fixture
def fold_at_8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "FOLD", 8)


def bucket_journal(folder: Any) -> BucketJournal:
    return BucketJournal(folder)


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def test_a_journal_that_is_not_there_has_no_lines(opened: Open) -> None:
    assert list(opened().lines()) == []
    opened().cut(0)
    assert list(opened().lines()) == []


def test_lines_come_back_in_their_order(opened: Open) -> None:
    journal = opened()
    journal.append(b"a")
    journal.append(b"b", b"", b"c")
    journal.append(b"")
    assert list(journal.lines()) == list(opened().lines()) == [b"a", b"b", b"", b"c", b""]


def test_a_journal_goes_on_where_another_process_left_it(opened: Open) -> None:
    for line in numbers(5):
        opened().append(line)
    assert list(opened().lines()) == numbers(5)


@pytest.mark.parametrize("keep", range(7))
def test_a_cut_forgets_what_is_behind_it(opened: Open, keep: int) -> None:
    journal = opened()
    journal.append(b"0", b"1")
    journal.append(b"2")
    journal.append(b"3", b"4", b"5")
    journal.cut(keep)
    assert list(journal.lines()) == list(opened().lines()) == numbers(keep)
    journal.append(b"new")
    opened().append(b"newer")
    assert list(opened().lines()) == [*numbers(keep), b"new", b"newer"]


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


@pytest.mark.parametrize("mine", [[b"mine"], [b"mine", b"too"]])
@pytest.mark.parametrize("theirs", [[b"theirs"], [b"theirs", b"too"]])
def test_of_two_who_append_to_objects_one_is_told(memory: MemoryFolder, mine: list[bytes], theirs: list[bytes]) -> None:
    first, second = bucket_journal(memory), bucket_journal(memory)
    first.append(b"0")
    assert list(second.lines()) == [b"0"]
    first.append(*theirs)
    with pytest.raises(ConflictError, match="another driver"):
        second.append(*mine)
    assert list(bucket_journal(memory).lines()) == [b"0", *theirs]


def test_many_objects_become_one(memory: MemoryFolder, fold_at_8: None) -> None:
    journal = bucket_journal(memory)
    for round_ in range(3):
        for line in numbers(8):
            journal.append(line)
        assert list(bucket_journal(memory).lines()) == numbers(8) * (round_ + 1)
        assert len(memory.objects) <= 8
    assert list(journal.lines()) == numbers(8) * 3


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


LINES = st.binary(max_size=8).filter(lambda line: b"\n" not in line)
STEPS = st.one_of(
    st.tuples(st.just("append"), st.lists(LINES, min_size=1, max_size=5)),
    st.tuples(st.just("cut"), st.integers(0, 20)),
    st.tuples(st.just("open"), st.none()),
)


@given(st.lists(STEPS, max_size=25), st.sampled_from(["file", "objects"]))
@settings(max_examples=150, deadline=None)
def test_a_journal_is_a_list(tmp_path_factory: pytest.TempPathFactory, steps: list[Any], kind: str) -> None:
    path, memory = tmp_path_factory.mktemp("journal") / "journal.jsonl", MemoryFolder()

    def open_it() -> Journal:
        return LocalJournal(path) if kind == "file" else bucket_journal(memory)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_module, "FOLD", 4)
        patch.setattr("os.fsync", lambda _: None)
        compare(open_it, steps)


def compare(open_it: Open, steps: list[Any]) -> None:
    """A journal against a list."""
    journal, wanted = open_it(), list[bytes]()
    for step, value in steps:
        if step == "append":
            journal.append(*value)
            wanted += value
        elif step == "cut":
            keep = min(value, len(wanted))  # nobody cuts where nothing is
            journal.cut(keep)
            del wanted[keep:]
        else:
            journal = open_it()
        assert list(journal.lines()) == wanted
    assert list(open_it().lines()) == wanted


# --- the ledger, which is a journal of manifests


def manifest(seq: int, content: str = "") -> BatchManifest:
    return BatchManifest(seq, (LandedFile(f"file:///in/{seq}{content}.csv", 1, 1),))


def test_a_ledger_knows_the_files_up_to_its_stream(opened: Open) -> None:
    ledger = Ledger(opened())
    for seq in range(4):
        ledger.append(manifest(seq))
    again = Ledger(opened())
    assert [m.seq for m in again.restore(3)] == [0, 1, 2, 3]
    assert not again.is_new(manifest(2).files[0]) and again.is_new(manifest(4).files[0])


def test_manifests_whose_batches_never_were_are_cut_off(opened: Open) -> None:
    ledger = Ledger(opened())
    for seq in range(6):
        ledger.append(manifest(seq))
    again = Ledger(opened())
    assert [m.seq for m in again.restore(3)] == [0, 1, 2, 3]
    again.append(manifest(4, "other"))
    assert [m.files[0].path for m in Ledger(opened()).restore(4)][-1] == "file:///in/4other.csv"


def test_a_gap_in_the_ledger_is_refused(opened: Open) -> None:
    ledger = Ledger(opened())
    for seq in (0, 1, 3):
        ledger.append(manifest(seq))
    with pytest.raises(RecoveryError, match=r"after manifest 1 \(manifest 3 follows\).*--recover"):
        list(Ledger(opened()).restore(3))


def test_a_ledger_that_ends_too_early_is_refused(opened: Open) -> None:
    ledger = Ledger(opened())
    ledger.append(manifest(0))
    assert len(list(Ledger(opened()).restore(1))) == 1  # the crash came before it was noted
    with pytest.raises(RecoveryError, match="manifest 2 is the stream's"):
        list(Ledger(opened()).restore(2))
