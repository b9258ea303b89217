"""What every journal promises, and every ledger in it, in a file and in objects; an heir has a fixture `opened`."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st

from schemas.errors import ConflictError, RecoveryError
from streamscore.landing.ledger import Ledger
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.storage import journal as journal_module
from streamscore.storage.journal import WORKERS, Journal

Open = Callable[[], Journal]  # opens the journal of the test, each time as a process that just started

LINES = st.binary(max_size=8).filter(lambda line: b"\n" not in line)
STEP = st.one_of(
    st.tuples(st.just("append"), st.lists(LINES, min_size=1, max_size=5)),
    st.tuples(st.just("cut"), st.integers(0, 20)),
    st.tuples(st.sampled_from(["open", "read"]), st.none()),
)


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def assert_is_a_list(opened: Open, steps: list[Any]) -> None:
    """A journal against a list."""
    journal, wanted = opened(), list[bytes]()
    for step, value in steps:
        if step == "append":
            journal.append(*value)
            wanted += value
        elif step == "cut":
            journal.cut(value)
            del wanted[value:]
        elif step == "open":
            journal = opened()
        else:
            assert list(journal.lines()) == wanted
    assert list(journal.lines()) == list(opened().lines()) == wanted


class JournalContract:
    etag = ""  # of the files in ledgers

    def test_a_journal_that_is_not_there_has_no_lines(self, opened: Open) -> None:
        assert list(opened().lines()) == []
        opened().cut(0)
        assert list(opened().lines()) == []

    def test_lines_come_back_in_their_order(self, opened: Open) -> None:
        journal = opened()
        journal.append(b"a")
        journal.append(b"b", b"", "ü%+ ".encode())
        journal.append(b"")
        assert list(journal.lines()) == list(opened().lines()) == [b"a", b"b", b"", "ü%+ ".encode(), b""]

    def test_a_journal_goes_on_where_another_process_left_it(self, opened: Open) -> None:
        for line in numbers(5):
            opened().append(line)
        assert list(opened().lines()) == numbers(5)

    def test_more_gives_each_line_once(self, opened: Open) -> None:
        reader = opened()
        assert list(reader.more()) == []
        opened().append(b"0")
        opened().append(b"1", b"2")
        assert (list(reader.more()), list(reader.more())) == (numbers(3), [])
        opened().append(b"3")
        assert (list(reader.more()), list(opened().more())) == ([b"3"], numbers(4))

    @pytest.mark.parametrize("keep", range(7))
    def test_a_cut_forgets_what_is_behind_it(self, opened: Open, keep: int) -> None:
        journal = opened()
        journal.append(b"0", b"1")
        journal.append(b"2")
        journal.append(b"3", b"4", b"5")
        journal.cut(keep)
        assert list(journal.lines()) == list(opened().lines()) == numbers(keep)
        journal.append(b"new")
        opened().append(b"newer")
        assert list(opened().lines()) == [*numbers(keep), b"new", b"newer"]

    def test_a_ledger_knows_the_files_up_to_its_stream(self, opened: Open) -> None:
        self.write_ledger(opened, 0, 1, 2, 3)
        again = Ledger(opened())
        assert [m.seq for m in again.restore(3)] == [0, 1, 2, 3]
        assert not again.is_new(self.manifest(2).files[0]) and again.is_new(self.manifest(4).files[0])

    def test_manifests_whose_batches_never_were_are_cut_off(self, opened: Open) -> None:
        self.write_ledger(opened, *range(6))
        again = Ledger(opened())
        assert [m.seq for m in again.restore(3)] == [0, 1, 2, 3]
        again.append(self.manifest(4, "other"))
        paths = [m.files[0].path for m in Ledger(opened()).restore(4)]
        assert paths[3:] == ["file:///in/3.csv", "file:///in/4other.csv"]

    def test_a_gap_in_the_ledger_is_refused(self, opened: Open) -> None:
        self.write_ledger(opened, 0, 1, 3)
        with pytest.raises(RecoveryError, match=r"after manifest 1 \(manifest 3 follows\).*--recover"):
            list(Ledger(opened()).restore(3))

    def test_a_ledger_that_ends_too_early_is_refused(self, opened: Open) -> None:
        self.write_ledger(opened, 0)
        assert len(list(Ledger(opened()).restore(1))) == 1  # the crash came before it was noted
        with pytest.raises(RecoveryError, match="manifest 2 is the stream's"):
            list(Ledger(opened()).restore(2))

    def manifest(self, seq: int, content: str = "") -> BatchManifest:
        return BatchManifest(seq, (LandedFile(f"file:///in/{seq}{content}.csv", 1, 1, self.etag),))

    def write_ledger(self, opened: Open, *seqs: int) -> None:
        ledger = Ledger(opened())
        for seq in seqs:
            ledger.append(self.manifest(seq))


class ObjectsContract(JournalContract):
    """A journal of objects; the fixture `pieces` gives their names."""

    @pytest.mark.parametrize("mine", [[b"mine"], [b"mine", b"too"]], ids=["a line", "two lines"])
    @pytest.mark.parametrize("theirs", [[b"theirs"], [b"theirs", b"too"]], ids=["after a line", "after two lines"])
    def test_of_two_who_append_one_is_told(self, opened: Open, mine: list[bytes], theirs: list[bytes]) -> None:
        owner, first, second = opened(), opened(), opened()
        assert list(first.lines()) == []
        owner.append(*theirs)
        assert list(second.lines()) == theirs
        owner.append(*theirs)
        for late in (first, second):
            with pytest.raises(ConflictError, match=r"/journal/0+\d? is of another driver"):
                late.append(*mine)
        assert list(opened().lines()) == theirs * 2

    def test_many_objects_become_one(
        self, opened: Open, pieces: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fold = WORKERS + 4
        monkeypatch.setattr(journal_module, "FOLD", fold)
        journal = opened()
        for round_ in range(3):
            for line in numbers(fold):
                journal.append(line)
            assert list(opened().lines()) == numbers(fold) * (round_ + 1)
            assert len(pieces()) <= fold
        assert list(journal.lines()) == numbers(fold) * 3
