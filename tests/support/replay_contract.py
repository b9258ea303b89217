"""What every replay promises, in a folder and in a bucket; an heir has a fixture `places`: a stream written by hand."""

import gzip
import json
import os
from abc import ABC, abstractmethod
from typing import Any

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from jobs.operations.replay import replay
from jobs.operations.replay.replay import Replayed, Selection, replay_rows
from schemas.feed import Feed, load_feed
from schemas.settings import Settings
from schemas.tables import QUARANTINE_SCHEMA
from streamscore.landing.listing import landed_files
from streamscore.landing.manifest import BatchManifest, LandedFile, source_file
from streamscore.storage.places import as_uri
from streamscore.storage.stream_paths import StreamPaths
from tests.support.crash import Crash
from tests.support.present import present

FEED = load_feed("wine_quality")
BAD_TYPE, MISSING_COLUMN = Selection(("bad_type",)), Selection(("missing_column",))


class WrittenStream(ABC):
    """A stream's places, written by hand."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.paths = settings, StreamPaths.of(FEED, settings)

    @abstractmethod
    def put(self, name: str, content: bytes) -> None:
        """Write a file below the landing folder."""

    @abstractmethod
    def move(self, name: str, to: str) -> None:
        """Rename a file below the landing folder."""

    @abstractmethod
    def names(self) -> list[str]:
        """Every file below the landing folder."""

    def replay(self, selection: Selection = BAD_TYPE, feed: Feed = FEED) -> Replayed:
        return replay_rows(feed, self.settings, selection)

    def land(self, name: str, content: bytes = b"a\n1\n") -> LandedFile:
        self.put(name, content)
        return next(file for file in self.landed() if self.name_of(file) == name)

    def done(self, batch_id: int, app_id: str = "app") -> None:
        transaction = CommitProperties(app_transactions=[Transaction(app_id, batch_id)])
        self.write("predictions", pa.table({"a": [1]}), commit_properties=transaction)

    def quarantine(self, *rows: dict[str, Any]) -> None:
        base = {"source_file": "a.csv", "source_line": 2, "rows": 1, "header": "a,b", "raw": "x,1"}
        base |= {"reason": "bad_type", "app_id": "app", "batch_id": 0}
        filled = [dict.fromkeys(QUARANTINE_SCHEMA.names) | base | row for row in rows]
        self.write("quarantine", pa.Table.from_pylist(filled, schema=QUARANTINE_SCHEMA))

    def refuse(self, name: str, content: bytes = b"c\n1\n", **row: Any) -> LandedFile:
        """A file that was refused as a whole."""
        file = self.land(name, content)
        self.ledger(file)
        whole = {"source_file": name, "source_line": None, "raw": None, "reason": "missing_column"}
        self.quarantine(whole | row)
        return file

    def ledger(self, *files: LandedFile) -> None:
        self.paths.checkpoint.open_journal("ledger").append(json.dumps(BatchManifest(1, files).to_offset()).encode())

    def write(self, table: str, rows: pa.Table, **more: Any) -> None:
        write_deltalake(self.paths.table(table), rows, mode="append", storage_options=self.options, **more)

    def table(self, name: str) -> DeltaTable:
        return DeltaTable(self.paths.table(name), storage_options=self.options)

    def marks(self) -> dict[tuple[str, int | None], str | None]:
        rows = self.table("quarantine").to_pyarrow_table().to_pylist()
        return {(row["source_file"], row["source_line"]): row["replayed_as"] for row in rows}

    def content(self, name: str) -> bytes:
        return present(self.paths.landing.read(name))

    def landed(self) -> list[LandedFile]:
        return list(landed_files(self.paths.landing))

    def replays(self) -> list[str]:
        """The files that replays landed, where nothing else did."""
        return sorted(map(self.name_of, self.landed()))

    def name_of(self, file: LandedFile) -> str:
        return source_file(file, as_uri(self.paths.landing.uri))

    @property
    def options(self) -> dict[str, str] | None:
        return self.paths.checkpoint.delta_options()


def crash_in(stream: WrittenStream, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(replay, function, crash)
        with pytest.raises(Crash):
            stream.replay()


def assert_nothing_is_left_behind(stream: WrittenStream) -> None:
    """There is nothing but what was landed, and one file that says who is at work."""
    assert [name for name in stream.names() if not name.startswith(f"{replay.LOCK}/")] == stream.replays()
    assert len(stream.names()) == len(stream.replays()) + 1


class ReplayContract:
    @pytest.fixture
    def stream(self, places: WrittenStream) -> WrittenStream:
        places.done(batch_id=9)
        return places

    def test_rows_are_landed_under_their_header_byte_for_byte_and_marked(self, stream: WrittenStream) -> None:
        stream.quarantine(
            {"source_line": 7, "raw": 'é,"1\r\n2"'}, {"source_line": 3}, {"reason": "not_finite", "source_line": 4}
        )
        done = stream.replay()
        (name,) = done.files
        assert done.rows == 2
        assert stream.content(name) == 'a,b\nx,1\né,"1\r\n2"\n'.encode()
        assert stream.marks() == {("a.csv", 3): name, ("a.csv", 7): name, ("a.csv", 4): None}
        assert_nothing_is_left_behind(stream)

    def test_the_same_selection_twice_lands_nothing_new(self, stream: WrittenStream) -> None:
        stream.quarantine({})
        first, again = stream.replay(), stream.replay()
        assert again.files == () and again.rows == 0 and "nothing to replay" in again.message
        assert stream.replays() == list(first.files)

    def test_rows_of_a_batch_that_may_run_again_are_left(self, stream: WrittenStream) -> None:
        stream.quarantine({}, {"source_line": 3, "batch_id": 10}, {"source_line": 4, "app_id": "never committed"})
        done = stream.replay()
        assert done.rows == 1 and "2 rows of a micro-batch that is not done" in done.message
        assert stream.marks() == {("a.csv", 2): done.files[0], ("a.csv", 3): None, ("a.csv", 4): None}

    @pytest.mark.parametrize("folder", ["", "_archive/", "_refused/"], ids=["landing", "archive", "refused"])
    def test_a_refused_file_is_landed_again_from_where_it_is(self, stream: WrittenStream, folder: str) -> None:
        content = gzip.compress(os.urandom(2**24), 0)  # 16 MiB: an object store gets it in several parts
        stream.refuse("sub/ä 1.csv.gz", content)
        if folder:
            stream.move("sub/ä 1.csv.gz", f"{folder}sub/ä 1.csv.gz")
        done = stream.replay(MISSING_COLUMN)
        (name,) = done.files
        assert stream.content(name) == content and name.endswith(".csv.gz") and done.rows == 1
        assert stream.marks() == {("sub/ä 1.csv.gz", None): name}
        assert stream.replay(MISSING_COLUMN).files == ()

    def test_a_refused_file_that_is_gone_or_other_is_named_and_not_landed(self, stream: WrittenStream) -> None:
        stream.refuse("gone.csv")
        stream.paths.landing.delete("gone.csv")
        stream.refuse("other.csv")
        stream.put("other.csv", b"c\n1\n2\n")
        stream.quarantine({"source_file": "unknown.csv", "source_line": None, "reason": "missing_column"})
        done = stream.replay(MISSING_COLUMN)
        assert done.files == () and set(stream.marks().values()) == {None}
        assert "gone.csv (missing_column): the file is gone" in done.message
        assert "other.csv (missing_column): the file has changed since" in done.message
        assert "unknown.csv (missing_column): neither ledger nor offset log" in done.message

    def test_of_a_changed_file_the_new_content_is_landed_once(self, stream: WrittenStream) -> None:
        stream.refuse("a.csv", b"c\n1\n", reason="file_changed", batch_id=1)
        stream.ledger(stream.land("a.csv", b"c\n1\n2\n"))
        stream.quarantine({"source_line": None, "reason": "file_changed", "batch_id": 2})
        done = stream.replay(Selection(("file_changed",)))
        assert stream.content(done.files[0]) == b"c\n1\n2\n" and len(done.files) == 1
        assert set(stream.marks().values()) == set(done.files)

    def test_of_a_changed_file_the_content_that_was_scored_is_never_landed_again(self, stream: WrittenStream) -> None:
        for name in ("a.csv", "b.csv"):
            stream.refuse(name, b"c\n1\n", reason="file_changed")
        message = stream.replay(Selection(("file_changed",))).message
        for name in ("a.csv", "b.csv"):
            assert f"{name} (file_changed): only the content that was scored is left" in message
        stream.move("a.csv", "_archive/a.csv")
        stream.put("_archive/a.csv.again", b"c\n3\n4\n")
        stream.put("b.csv", b"c\n2\n5\n")
        done = stream.replay(Selection(("file_changed",)))
        assert {stream.content(name) for name in done.files} == {b"c\n3\n4\n", b"c\n2\n5\n"}

    # --- crashes: what is landed is landed once

    @pytest.mark.parametrize("processed", ["waits", "archived", "in the ledger", "in the offset log"])
    def test_a_crash_before_the_marks_lands_nothing_twice(
        self, stream: WrittenStream, monkeypatch: pytest.MonkeyPatch, processed: str
    ) -> None:
        stream.quarantine({}, {"source_line": 3})
        crash_in(stream, monkeypatch, "mark")
        (name,), (file,) = stream.replays(), stream.landed()
        if processed == "archived":
            stream.move(name, f"_archive/{name}")
        elif processed != "waits":
            stream.paths.landing.delete(name)
            if processed == "in the ledger":
                stream.ledger(file)
            else:
                offset = json.dumps(BatchManifest(2, (file,)).to_offset())
                stream.paths.checkpoint.at("offsets").make()
                stream.paths.checkpoint.write("offsets/3", f"v1\n{{}}\n{offset}".encode())
        stream.quarantine({"source_line": 4})  # the stream goes on
        done = stream.replay()
        assert done.rows == 1
        assert stream.marks() == {("a.csv", 2): name, ("a.csv", 3): name, ("a.csv", 4): done.files[0]}
        assert stream.content(done.files[0]) == b"a,b\nx,1\n"

    def test_a_crash_before_the_first_file_lands_everything_later(
        self, stream: WrittenStream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stream.quarantine({})
        crash_in(stream, monkeypatch, "landed_before")
        assert stream.replays() == [] and replay.PENDING in stream.names()
        done = stream.replay()
        assert stream.replays() == list(done.files) == [stream.marks()["a.csv", 2]]
        assert_nothing_is_left_behind(stream)

    def test_a_file_that_was_landed_is_known_by_its_digest_without_the_note_too(
        self, stream: WrittenStream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stream.quarantine({})
        crash_in(stream, monkeypatch, "mark")
        stream.paths.landing.delete(replay.PENDING)
        (name,) = stream.replays()
        done = stream.replay()
        assert done.files == () and "landed before" in done.message
        assert stream.marks() == {("a.csv", 2): name}
