"""What is landed again from a folder, how it is chosen, and what marks it."""

import fcntl
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

import jobs.operations.replay.mark
from jobs.operations.replay import replay
from jobs.operations.replay.replay import Selection
from schemas.errors import SettingsError, TryAgainError
from schemas.feed import Column
from schemas.settings import Settings
from streamscore.reading.rejects import HEADER_KEPT
from tests.support.replay_contract import FEED, ReplayContract, WrittenStream


class LocalStream(WrittenStream):
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "landing"
        self.folder.mkdir()
        (folder / "checkpoint").mkdir()
        tables = {"path": str(folder / "tables")}
        super().__init__(Settings(landing=str(self.folder), tables=tables, checkpoint=str(folder / "checkpoint")))

    def put(self, name: str, content: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def move(self, name: str, to: str) -> None:
        (self.folder / to).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).rename(self.folder / to)

    def names(self) -> list[str]:
        return [str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()]


@pytest.fixture
def places(tmp_path: Path) -> LocalStream:
    return LocalStream(tmp_path)


@pytest.fixture
def stream(places: LocalStream) -> LocalStream:
    places.done(batch_id=9)
    return places


class TestReplayOfAFolder(ReplayContract):
    pass


def test_rows_of_different_headers_go_to_different_files(stream: LocalStream) -> None:
    stream.quarantine({"header": "a,b"}, {"header": "b;a", "raw": "1;x", "source_file": "b.csv"})
    done = stream.replay()
    assert sorted(stream.content(name) for name in done.files) == [b"a,b\nx,1\n", b"b;a\n1;x\n"]


def test_a_long_header_that_only_one_row_has_whole_heads_all_of_them(stream: LocalStream) -> None:
    header = "a,b," + "x" * HEADER_KEPT
    beginning = header[:HEADER_KEPT]
    stream.quarantine(
        {"header": header, "reason": "not_finite"},
        {"header": beginning, "source_line": 3},
        {"header": beginning, "source_line": 4, "raw": "y,2"},
        {"header": beginning, "source_file": "of just that length.csv"},
    )
    done = stream.replay()
    texts = sorted(stream.content(name).decode() for name in done.files)
    assert texts == sorted([f"{header}\nx,1\ny,2\n", f"{beginning}\nx,1\n"])


def test_what_is_landed_again_ends_as_the_feed_says(stream: LocalStream) -> None:
    dialect = FEED.csv.model_copy(update={"endings": (".csv.gz", ".tsv"), "skip_lines": 2})
    feed = FEED.model_copy(update={"csv": dialect})
    stream.quarantine({})
    stream.refuse("whole.CSV.gz")
    done = stream.replay(Selection(("bad_type", "missing_column")), feed)
    assert sorted(name.partition(".")[2] for name in done.files) == ["csv.gz", "tsv"]
    (rows,) = [name for name in done.files if name.endswith(".tsv")]
    assert stream.content(rows) == b"\n\na,b\nx,1\n"


def test_rows_of_a_feed_with_columns_in_folders_are_left_out_and_named(stream: LocalStream) -> None:
    columns = (*FEED.columns, Column(name="dt", type="date", role="carry", source="folder"))
    feed = FEED.model_copy(update={"columns": columns})
    stream.quarantine({"source_file": "dt=2024-12-31/a.csv"})
    done = stream.replay(feed=feed)
    assert done.files == ()
    assert "dt=2024-12-31/a.csv (bad_type): its folder says 'dt'" in done.message


def test_rows_are_chosen_by_reason_file_and_batch_together(stream: LocalStream) -> None:
    stream.quarantine(
        {"source_line": 2},
        {"source_line": 3, "source_file": "b.csv"},
        {"source_line": 4, "batch_id": 1},
        {"source_line": 5, "reason": "not_finite"},
    )
    done = stream.replay(Selection(("bad_type", "out_of_range"), "a.csv", 1))
    assert [key for key, mark in stream.marks().items() if mark] == [("a.csv", 4)]
    assert done.rows == 1
    assert stream.replay(Selection(file="b.csv")).rows == 1
    assert stream.replay(Selection(batch_id=0)).rows == 2


def test_nothing_selected_is_refused(stream: LocalStream) -> None:
    with pytest.raises(SettingsError, match="--reason CODE, --file NAME or --batch ID"):
        stream.replay(Selection())


def test_an_unknown_reason_is_refused_with_the_nearest(stream: LocalStream) -> None:
    with pytest.raises(SettingsError, match="did you mean 'out_of_range'"):
        stream.replay(Selection(("outofrange",)))


def test_without_a_quarantine_there_is_nothing_to_replay(places: LocalStream) -> None:
    assert "streamscore run wine_quality" in places.replay().message


def test_the_first_micro_batch_of_a_stream_is_done_once_it_is_committed(places: LocalStream) -> None:
    places.done(batch_id=0)
    places.quarantine({"batch_id": 0})
    assert places.replay().rows == 1


def test_rows_whose_bytes_are_not_kept_are_left_out_and_named(stream: LocalStream) -> None:
    stream.quarantine({"reason": "bad_encoding", "raw": "\\xe9,1"}, {"source_line": 3})
    done = stream.replay(Selection(file="a.csv"))
    assert stream.content(done.files[0]) == b"a,b\nx,1\n"
    assert "a.csv line 2 (bad_encoding)" in done.message
    assert stream.marks()["a.csv", 2] is None


def test_text_is_written_in_the_encoding_of_the_feed(stream: LocalStream) -> None:
    stream.quarantine({"raw": "é,1"})
    latin = FEED.model_copy(update={"csv": FEED.csv.model_copy(update={"encoding": "latin-1"})})
    done = stream.replay(feed=latin)
    assert stream.content(done.files[0]) == b"a,b\n\xe9,1\n"


def test_two_replays_at_once_are_refused(stream: LocalStream) -> None:
    stream.quarantine({})
    (stream.folder / replay.LOCK).mkdir()
    with (stream.folder / replay.LOCK / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TryAgainError):
            stream.replay()
    assert stream.replays() == []


def test_a_stream_that_always_appends_does_not_keep_rows_from_being_marked(
    stream: LocalStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream.done(batch_id=99)
    stream.quarantine(*({"source_line": line, "batch_id": line % 50} for line in range(2, 2000)))
    real = jobs.operations.replay.mark.select  # type: ignore[attr-defined]  # its import

    def select(*arguments: Any) -> Any:  # another commit comes between reading the table and marking
        rows = real(*arguments)
        stream.quarantine({"source_line": 5000, "batch_id": 100})
        return rows

    monkeypatch.setattr(jobs.operations.replay.mark, "select", select)
    done = stream.replay()
    marks = stream.marks()
    assert done.rows == 1998 and len(marks) == 1999
    assert [line for (_, line), mark in marks.items() if mark is None] == [5000]


def test_rows_that_somebody_else_rewrites_meanwhile_are_read_again(
    stream: LocalStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream.quarantine({}, {"source_line": 3})
    real = jobs.operations.replay.mark.select  # type: ignore[attr-defined]  # its import

    def select(*arguments: Any) -> Any:
        monkeypatch.setattr(jobs.operations.replay.mark, "select", real)
        rows = real(*arguments)
        stream.table("quarantine").update({"replayed_as": "'theirs'"}, predicate="source_line = 3")
        return rows

    monkeypatch.setattr(jobs.operations.replay.mark, "select", select)
    done = stream.replay()
    assert stream.marks() == {("a.csv", 2): done.files[0], ("a.csv", 3): "theirs"}


def test_marked_rows_can_be_filtered_by_any_reader(stream: LocalStream) -> None:
    stream.quarantine({}, {"source_line": 3, "reason": "not_finite"})
    stream.replay()
    dataset = stream.table("quarantine").to_pyarrow_dataset()
    assert dataset.to_table(filter=ds.field("reason") == "bad_type")["source_line"].to_pylist() == [2]
    assert dataset.to_table(filter=ds.field("replayed_as").is_null())["source_line"].to_pylist() == [3]
