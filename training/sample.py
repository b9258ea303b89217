"""`streamscore sample`: seeded CSV files of a feed, for demo, tests and load."""

import csv
import filecmp
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv as pacsv

from schemas.errors import SettingsError, StorageError
from schemas.feed import Feed
from training.generate import generated_chunks
from training.spoil import kinds, spoil


@dataclass(frozen=True, slots=True)
class SampleResult:
    """The files written, the rows in them, and how many of these were spoiled."""

    paths: tuple[Path, ...]
    rows: int
    bad_rows: int

    @property
    def files(self) -> int:
        """The number of files."""
        return len(self.paths)


def sample(feed: Feed, rows: int, files: int, out: Path, bad: float = 0.0, seed: int = 0) -> SampleResult:
    """Write `rows` rows as evenly as they go over `files` files `sample-<seed>-00001.csv` …, into the folder `out`.

    Equal arguments give equal bytes. `round(rows * bad)` rows are spoiled (see `training.spoil`). A file appears whole:
    it is written beside under a hidden name, and renamed. One that is there already with the same bytes is left alone.

    Raises:
        SettingsError: rows < 0, files < 1 or bad outside 0 to 1.
        StorageError: the folder cannot be written, or holds another file of that name.
    """
    if rows < 0 or files < 1 or not 0 <= bad <= 1:
        raise SettingsError(f"--rows {rows} --files {files} --bad {bad}: wanted rows >= 0, files >= 1, bad from 0 to 1")
    chosen = np.random.default_rng([seed, 1]).choice(rows, round(rows * bad), replace=False, shuffle=False)
    lines = _Lines(_spoiled_lines(feed, rows, seed, np.sort(chosen)))
    header = _header(feed)
    paths = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for number in range(files):
            path = out / f"sample-{seed}-{number + 1:05}.csv"
            _write(path, header, lines.take(rows // files + (number < rows % files)))
            paths.append(path)
    except OSError as error:
        raise StorageError(f"cannot write samples to {out}: {error}; give another folder with --out") from error
    return SampleResult(tuple(paths), rows, len(chosen))


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
            lines[position - start] = spoil(lines[position - start], delimiter, ways, done)
            done += 1
        yield lines
        start += len(lines)


def _text(table: pa.Table, feed: Feed) -> bytes:
    sink = pa.BufferOutputStream()
    options = pacsv.WriteOptions(include_header=False, delimiter=feed.csv.delimiter, quoting_style="none")
    pacsv.write_csv(table, sink, options)
    text = sink.getvalue().to_pybytes()
    return text if feed.csv.encoding.lower() in ("utf-8", "utf8") else text.decode().encode(feed.csv.encoding)


def _header(feed: Feed) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=feed.csv.delimiter, quotechar=feed.csv.quote, lineterminator="\n")
    writer.writerow([column.name for column in feed.columns])
    return text.getvalue().encode(feed.csv.encoding)


def _write(path: Path, header: bytes, pieces: Iterator[bytes]) -> None:
    hidden = path.with_name(f".{path.name}.tmp")
    with hidden.open("wb") as file:
        file.write(header)
        file.writelines(pieces)
    if not path.exists():
        hidden.rename(path)
        return
    same = filecmp.cmp(hidden, path, shallow=False)
    hidden.unlink()
    if not same:  # a stream that knows the path would quarantine the new content
        raise StorageError(f"{path} is there with other content; give another --seed or --out, or remove it")
