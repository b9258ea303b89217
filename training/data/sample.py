"""`streamscore sample`: seeded CSV files of a feed, for demo, tests and load."""

import filecmp
import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as pacsv

from schemas.errors import SettingsError, StorageError
from schemas.feed import Feed
from schemas.settings import Storage
from streamscore.reading.written import DialectWriter, is_plain, written
from streamscore.storage.object_store import assert_reachable, bucket_and_key, code_of, is_object_uri, reaching
from training.data.corrupt import corrupt, kinds
from training.data.generate import generated_chunks

IN_MEMORY = 8 * 2**20  # of a file on its way to the object store; above it, it waits on the disk


@dataclass(frozen=True, slots=True)
class SampleResult:
    """The files written, the rows in them, and how many of these were spoiled.

    Attributes:
        out: a folder, or `s3://…`.
    """

    out: str
    names: tuple[str, ...]
    rows: int
    bad_rows: int

    @property
    def files(self) -> int:
        """The number of files."""
        return len(self.names)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files in a folder."""
        return tuple(Path(self.out, name) for name in self.names)


def sample(
    feed: Feed,
    rows: int,
    files: int,
    out: Path | str,
    bad: float = 0.0,
    seed: int = 0,
    storage: Storage | None = None,
) -> SampleResult:
    """Write `rows` rows as evenly as they go over `files` files `sample-<seed>-00001.csv` …, into the folder `out`.

    Equal arguments give equal bytes. `round(rows * bad)` rows are spoiled (see `corrupt`). A file appears whole:
    it is written beside under a hidden name, and renamed; in an object store it is one PUT. One that is there already
    with the same bytes is left alone.

    Args:
        out: a folder of this machine, made if it is missing, or `s3://…`.
        storage: how the object store is reached.

    Raises:
        SettingsError: rows < 0, files < 1 or bad outside 0 to 1.
        StorageError: the folder cannot be written, or holds another file of that name.
    """
    if rows < 0 or files < 1 or not 0 <= bad <= 1:
        msg = f"--rows {rows} --files {files} --bad {bad}: wanted rows >= 0, files >= 1, bad from 0 to 1"
        raise SettingsError(msg)
    chosen = np.random.default_rng([seed, 1]).choice(rows, round(rows * bad), replace=False, shuffle=False)
    lines = _Lines(_spoiled_lines(feed, rows, seed, np.sort(chosen)))
    below = _folders(feed, seed)
    target = _Bucket(f"{out}/{below}", storage or Storage()) if is_object_uri(str(out)) else _Folder(Path(out, below))
    header, names = _header(feed), []
    for number in range(files):
        name = f"sample-{seed}-{number + 1:05}{feed.csv.plain_ending}"
        names.append(f"{below}{name}")
        target.put(name, header, lines.take(rows // files + (number < rows % files)))
    return SampleResult(str(out), tuple(names), rows, len(chosen))


class _Folder:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error

    def put(self, name: str, header: bytes, pieces: Iterator[bytes]) -> None:
        hidden, path = self._folder / f".{name}.tmp", self._folder / name
        try:
            with hidden.open("wb") as file:
                file.write(header)
                file.writelines(pieces)
            if not path.exists():
                hidden.rename(path)
                return
            same = filecmp.cmp(hidden, path, shallow=False)
            hidden.unlink()
        except OSError as error:
            raise self._unusable(error) from error
        if not same:
            raise _other_content(path)

    def _unusable(self, error: OSError) -> StorageError:
        return StorageError(f"cannot write samples to {self._folder}: {error}; give another folder with --out")


class _Bucket:
    """A prefix in an object store."""

    def __init__(self, uri: str, storage: Storage) -> None:
        self._uri, self._storage = uri.rstrip("/"), storage
        self._bucket, self._prefix = bucket_and_key(uri)
        assert_reachable(storage, uri, f"samples to {uri}")

    def put(self, name: str, header: bytes, pieces: Iterator[bytes]) -> None:
        from botocore.exceptions import ClientError

        place = {"Bucket": self._bucket, "Key": f"{self._prefix}/{name}".lstrip("/")}
        with (
            tempfile.SpooledTemporaryFile(IN_MEMORY) as made,
            reaching(self._storage, f"cannot write {self._uri}/{name}") as client,
        ):
            made.write(header)
            made.writelines(pieces)
            made.seek(0)
            try:
                there = client.get_object(**place)["Body"]
            except ClientError as error:
                if code_of(error) != "NoSuchKey":
                    raise
                client.upload_fileobj(made, **place)
                return
            if not _same(made, there):
                msg = f"{self._uri}/{name}"
                raise _other_content(msg)


def _same(made: IO[bytes], there: Any) -> bool:
    while piece := made.read(IN_MEMORY):
        if there.read(len(piece)) != piece:
            return False
    return not there.read(1)


def _other_content(where: Path | str) -> StorageError:
    """Not to be replaced: a stream that knows the path would quarantine the new content."""
    return StorageError(f"{where} is there with other content; give another --seed or --out, or remove it")


class _Lines:
    """Chunks of CSV text, handed out by number of lines."""

    def __init__(self, chunks: Iterator[list[bytes]]) -> None:
        self._chunks = chunks
        self._chunk: list[bytes] = []
        self._at = 0

    def take(self, count: int) -> Iterator[bytes]:
        """The next `count` lines as pieces of text."""
        while count:
            if self._at == len(self._chunk):
                self._chunk, self._at = next(self._chunks), 0
            piece = self._chunk[self._at : self._at + count]
            self._at += len(piece)
            count -= len(piece)
            yield b"\n".join(piece) + b"\n"


def _spoiled_lines(feed: Feed, rows: int, seed: int, chosen: np.ndarray) -> Iterator[list[bytes]]:
    """The lines of all files chunk by chunk, without ends of line; `chosen` are the sorted positions to spoil."""
    start = done = 0
    ways, delimiter = kinds(feed), feed.csv.delimiter.encode()
    for table in generated_chunks(feed, rows, seed):
        lines = _text(table, feed).split(b"\n")[:-1]
        for position in chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, start + len(lines))]:
            lines[position - start] = corrupt(lines[position - start], delimiter, ways, done)
            done += 1
        yield lines
        start += len(lines)


def _text(table: pa.Table, feed: Feed) -> bytes:
    dialect = feed.csv
    table = table.select([column.name for column in feed.file_columns])
    for at, column in enumerate(feed.file_columns):
        if not is_plain(column, dialect):
            texts = pc.cast(table[column.name], pa.string()).to_pylist()
            table = table.set_column(at, column.name, pa.array([written(text, column, dialect) for text in texts]))
    sink = pa.BufferOutputStream()
    style = "needed" if dialect.delimiter == dialect.decimal else "none"
    options = pacsv.WriteOptions(include_header=False, delimiter=dialect.delimiter, quoting_style=style)
    pacsv.write_csv(table, sink, options)
    text = sink.getvalue().to_pybytes()
    return text if feed.csv.encoding.lower() in ("utf-8", "utf8") else text.decode().encode(feed.csv.encoding)


def _folders(feed: Feed, seed: int) -> str:
    """The folders that say the columns which are not in the files: `dt=2024-01-01/`; empty if all are."""
    row = next(generated_chunks(feed, 1, seed))
    texts = [
        (column, pc.cast(row[column.name], pa.string())[0].as_py())
        for column in feed.columns
        if column.source == "folder"
    ]
    return "".join(f"{quote(c.name, safe='')}={quote(written(text, c, feed.csv), safe='')}/" for c, text in texts)


def _header(feed: Feed) -> bytes:
    text = io.StringIO()
    writer = DialectWriter(text, feed.csv)
    if feed.csv.header != "none":
        writer.write(column.name for column in feed.file_columns)
    return text.getvalue().encode(feed.csv.encoding)
