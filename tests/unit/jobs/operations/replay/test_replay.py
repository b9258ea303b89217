import fcntl
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

import jobs.operations.replay.mark
from jobs.operations.replay import replay
from jobs.operations.replay.replay import Selection, replay_rows
from schemas.errors import SettingsError, TryAgainError
from schemas.feed import load_feed
from schemas.settings import Settings
from schemas.tables import QUARANTINE_SCHEMA
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.reading.rejects import HEADER_KEPT
from tests.support.crash import Crash

FEED = load_feed("wine_quality")
BAD_TYPE = Selection(("bad_type",))


@pytest.fixture
def stream(tmp_path: Path) -> "Stream":
    stream = Stream(tmp_path)
    stream.done(batch_id=9)
    return stream


class Stream:
    """A stream's folders, written by hand."""

    def __init__(self, folder: Path) -> None:
        self.landing, self.tables, self.checkpoint = folder / "landing", folder / "tables", folder / "checkpoint"
        self.landing.mkdir()
        self.checkpoint.mkdir()
        self.settings = Settings(
            landing=str(self.landing), tables={"path": str(self.tables)}, checkpoint=str(self.checkpoint)
        )

    def replay(self, selection: Any = BAD_TYPE, feed: Any = FEED) -> Any:
        return replay_rows(feed, self.settings, selection)

    def done(self, batch_id: int, app_id: str = "app") -> None:
        transaction = CommitProperties(app_transactions=[Transaction(app_id, batch_id)])
        write_deltalake(self.tables / "predictions", pa.table({"a": [1]}), mode="append", commit_properties=transaction)

    def quarantine(self, *rows: Any) -> None:
        base = {
            "source_file": "a.csv",
            "source_line": 2,
            "rows": 1,
            "header": "a,b",
            "raw": "x,1",
            "reason": "bad_type",
        }
        base |= {"app_id": "app", "batch_id": 0}
        table = pa.Table.from_pylist(
            [dict.fromkeys(QUARANTINE_SCHEMA.names) | base | row for row in rows], schema=QUARANTINE_SCHEMA
        )
        write_deltalake(self.tables / "quarantine", table, mode="append")

    def refuse(self, name: str, content: bytes = b"c\n1\n", **row: Any) -> Any:
        """A file that was refused as a whole."""
        path = self.landing / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.ledger(path)
        whole = {"source_file": name, "source_line": None, "rows": 1, "raw": None, "reason": "missing_column"}
        self.quarantine(whole | row)
        return path

    def ledger(self, path: Path) -> None:
        file = LandedFile(path.as_uri(), path.stat().st_size, path.stat().st_mtime_ns)
        with (self.checkpoint / "ledger.jsonl").open("a") as ledger:
            ledger.write(json.dumps(BatchManifest(1, (file,)).to_offset()) + "\n")

    def marks(self) -> dict[Any, Any]:
        rows = DeltaTable(self.tables / "quarantine").to_pyarrow_table().to_pylist()
        return {(row["source_file"], row["source_line"]): row["replayed_as"] for row in rows}

    def landed(self) -> list[Any]:
        return sorted(path.name for path in self.landing.iterdir() if path.name.startswith("replay-"))

    def hidden(self) -> list[Any]:
        return sorted(path.name for path in self.landing.iterdir() if path.name.startswith("."))

    def text(self, name: str) -> Any:
        return (self.landing / name).read_bytes()


def test_rows_are_landed_under_their_header_byte_for_byte_and_marked(stream: Stream) -> None:
    stream.quarantine(
        {"source_line": 7, "raw": 'é,"1\r\n2"'}, {"source_line": 3}, {"reason": "not_finite", "source_line": 4}
    )
    done = stream.replay()
    assert [done.files, done.rows] == [tuple(stream.landed()), 2]
    assert stream.text(done.files[0]) == 'a,b\nx,1\né,"1\r\n2"\n'.encode()
    assert stream.marks() == {("a.csv", 3): done.files[0], ("a.csv", 7): done.files[0], ("a.csv", 4): None}
    assert stream.hidden() == [replay.LOCK]


def test_the_same_selection_twice_lands_nothing_new(stream: Stream) -> None:
    stream.quarantine({})
    first, again = stream.replay(), stream.replay()
    assert again.files == () and again.rows == 0 and "nothing to replay" in again.message
    assert stream.landed() == list(first.files)


def test_rows_of_different_headers_go_to_different_files(stream: Stream) -> None:
    stream.quarantine({"header": "a,b"}, {"header": "b;a", "raw": "1;x", "source_file": "b.csv"})
    done = stream.replay()
    assert sorted(stream.text(name) for name in done.files) == [b"a,b\nx,1\n", b"b;a\n1;x\n"]


def test_a_long_header_that_only_one_row_has_whole_heads_all_of_them(stream: Stream) -> None:
    header = "a,b," + "x" * HEADER_KEPT
    beginning = header[:HEADER_KEPT]
    stream.quarantine(
        {"header": header, "reason": "not_finite"},
        {"header": beginning, "source_line": 3},
        {"header": beginning, "source_line": 4, "raw": "y,2"},
        {"header": beginning, "source_file": "of just that length.csv"},
    )
    done = stream.replay()
    texts = sorted(stream.text(name).decode() for name in done.files)
    assert texts == sorted([f"{header}\nx,1\ny,2\n", f"{beginning}\nx,1\n"])


def test_rows_are_chosen_by_reason_file_and_batch_together(stream: Stream) -> None:
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


def test_nothing_selected_is_refused(stream: Stream) -> None:
    with pytest.raises(SettingsError, match="--reason CODE, --file NAME or --batch ID"):
        stream.replay(Selection())


def test_an_unknown_reason_is_refused_with_the_nearest(stream: Stream) -> None:
    with pytest.raises(SettingsError, match="did you mean 'out_of_range'"):
        stream.replay(Selection(("outofrange",)))


def test_without_a_quarantine_there_is_nothing_to_replay(tmp_path: Path) -> None:
    assert "streamscore run wine_quality" in Stream(tmp_path).replay().message


def test_rows_of_a_batch_that_may_run_again_are_left(stream: Stream) -> None:
    stream.quarantine({"batch_id": 10}, {"app_id": "never committed", "source_line": 3})
    done = stream.replay()
    assert done.files == () and "2 rows of a micro-batch that is not done" in done.message


def test_the_first_micro_batch_of_a_stream_is_done_once_it_is_committed(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    stream.done(batch_id=0)
    stream.quarantine({"batch_id": 0})
    assert stream.replay().rows == 1


def test_rows_whose_bytes_are_not_kept_are_left_out_and_named(stream: Stream) -> None:
    stream.quarantine({"reason": "bad_encoding", "raw": "\\xe9,1"}, {"source_line": 3})
    done = stream.replay(Selection(file="a.csv"))
    assert stream.text(done.files[0]) == b"a,b\nx,1\n"
    assert "a.csv line 2 (bad_encoding)" in done.message
    assert stream.marks()["a.csv", 2] is None


def test_text_is_written_in_the_encoding_of_the_feed(stream: Stream) -> None:
    stream.quarantine({"raw": "é,1"})
    latin = FEED.model_copy(update={"csv": FEED.csv.model_copy(update={"encoding": "latin-1"})})
    done = stream.replay(feed=latin)
    assert stream.text(done.files[0]) == b"a,b\n\xe9,1\n"


# --- crashes: what is landed is landed once


@pytest.mark.parametrize("processed", ["waits", "archived", "in the ledger", "in the offset log"])
def test_a_crash_before_the_marks_lands_nothing_twice(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, processed: str
) -> None:
    stream.quarantine({}, {"source_line": 3})
    crash_in(stream, monkeypatch, "mark")
    (name,) = stream.landed()
    process(stream, name, processed)
    stream.quarantine({"source_line": 4})  # the stream goes on
    done = stream.replay()
    assert done.rows == 1
    assert stream.marks() == {("a.csv", 2): name, ("a.csv", 3): name, ("a.csv", 4): done.files[0]}
    assert stream.text(done.files[0]) == b"a,b\nx,1\n"


def test_a_crash_before_the_rename_lands_everything_later(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    stream.quarantine({})
    crash_in(stream, monkeypatch, "landed_before")
    assert stream.landed() == []
    done = stream.replay()
    assert stream.landed() == list(done.files) == [stream.marks()["a.csv", 2]]
    assert stream.hidden() == [replay.LOCK]


def test_a_file_that_was_landed_is_known_by_its_digest_without_the_note_too(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream.quarantine({})
    crash_in(stream, monkeypatch, "mark")
    (stream.landing / replay.PENDING).unlink()
    (name,) = stream.landed()
    done = stream.replay()
    assert done.files == () and "landed before" in done.message
    assert stream.marks() == {("a.csv", 2): name}


def test_two_replays_at_once_are_refused(stream: Stream) -> None:
    stream.quarantine({})
    (stream.landing / replay.LOCK).mkdir()
    with (stream.landing / replay.LOCK / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TryAgainError):
            stream.replay()
    assert stream.landed() == []


def crash_in(stream: Stream, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(replay, function, crash)
        with pytest.raises(Crash):
            stream.replay()


def process(stream: Stream, name: str, how: Any) -> None:
    path = stream.landing / name
    if how == "archived":
        (stream.landing / "_archive").mkdir()
        path.rename(stream.landing / "_archive" / name)
    elif how == "in the ledger":
        stream.ledger(path)
        path.unlink()
    elif how == "in the offset log":
        file = LandedFile(path.as_uri(), path.stat().st_size, path.stat().st_mtime_ns)
        (stream.checkpoint / "offsets").mkdir()
        offset = json.dumps(BatchManifest(2, (file,)).to_offset())
        (stream.checkpoint / "offsets" / "3").write_text(f"v1\n{{}}\n{offset}")
        path.unlink()


# --- files that were refused as a whole


@pytest.mark.parametrize("folder", ["", "_archive", "_refused"])
def test_a_refused_file_is_landed_again_from_where_it_is(stream: Stream, folder: str) -> None:
    path = stream.refuse("sub/ä 1.csv.gz", gzip.compress(b"c\n1\n"), rows=1)
    content = path.read_bytes()
    if folder:
        (stream.landing / folder / "sub").mkdir(parents=True)
        path.rename(stream.landing / folder / "sub" / path.name)
    done = stream.replay(Selection(("missing_column",)))
    assert stream.text(done.files[0]) == content and done.files[0].endswith(".csv.gz") and done.rows == 1
    assert stream.marks() == {("sub/ä 1.csv.gz", None): done.files[0]}
    assert stream.replay(Selection(("missing_column",))).files == ()


def test_a_refused_file_that_is_gone_or_other_is_named_and_not_landed(stream: Stream) -> None:
    stream.refuse("gone.csv").unlink()
    stream.refuse("other.csv").write_bytes(b"c\n1\n2\n")
    stream.quarantine({"source_file": "unknown.csv", "source_line": None, "reason": "missing_column"})
    done = stream.replay(Selection(("missing_column",)))
    assert done.files == () and set(stream.marks().values()) == {None}
    assert "gone.csv (missing_column): the file is gone" in done.message
    assert "other.csv (missing_column): the file has changed since" in done.message
    assert "unknown.csv (missing_column): neither ledger nor offset log" in done.message


def test_of_a_changed_file_the_new_content_is_landed_once(stream: Stream) -> None:
    path = stream.refuse("a.csv", b"c\n1\n", reason="file_changed", batch_id=1)
    path.write_bytes(b"c\n1\n2\n")
    stream.ledger(path)
    stream.quarantine({"source_line": None, "reason": "file_changed", "batch_id": 2})
    done = stream.replay(Selection(("file_changed",)))
    assert stream.text(done.files[0]) == b"c\n1\n2\n" and len(done.files) == 1
    assert set(stream.marks().values()) == set(done.files)


def test_of_a_changed_file_the_content_that_was_scored_is_never_landed_again(stream: Stream) -> None:
    path = stream.refuse("a.csv", b"c\n1\n", reason="file_changed")
    assert "only the content that was scored is left" in stream.replay(Selection(("file_changed",))).message
    (stream.landing / "_archive").mkdir()
    path.rename(stream.landing / "_archive" / "a.csv")
    (stream.landing / "_archive" / "a.csv.again").write_bytes(b"c\n3\n4\n")
    done = stream.replay(Selection(("file_changed",)))
    assert stream.text(done.files[0]) == b"c\n3\n4\n"


def test_a_stream_that_always_appends_does_not_keep_rows_from_being_marked(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
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
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream.quarantine({}, {"source_line": 3})
    real = jobs.operations.replay.mark.select  # type: ignore[attr-defined]  # its import

    def select(*arguments: Any) -> Any:
        monkeypatch.setattr(jobs.operations.replay.mark, "select", real)
        rows = real(*arguments)
        DeltaTable(stream.tables / "quarantine").update({"replayed_as": "'theirs'"}, predicate="source_line = 3")
        return rows

    monkeypatch.setattr(jobs.operations.replay.mark, "select", select)
    done = stream.replay()
    assert stream.marks() == {("a.csv", 2): done.files[0], ("a.csv", 3): "theirs"}


def test_marked_rows_can_be_filtered_by_any_reader(stream: Stream) -> None:
    stream.quarantine({}, {"source_line": 3, "reason": "not_finite"})
    stream.replay()
    dataset = DeltaTable(stream.tables / "quarantine").to_pyarrow_dataset()
    assert dataset.to_table(filter=ds.field("reason") == "bad_type")["source_line"].to_pylist() == [2]
    assert dataset.to_table(filter=ds.field("replayed_as").is_null())["source_line"].to_pylist() == [3]
