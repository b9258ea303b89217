"""Statistics of the columns of CSV and Parquet files, whatever their size."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds

from schemas.dialect import Dialect
from schemas.errors import FeedError
from streamscore.statistics.profiles import Profile, profile
from training.data.read import data_files, is_parquet

VALUES = 1_000_000  # of several columns in memory

if TYPE_CHECKING:
    import duckdb

PLAIN = Dialect()
PACKED = (".gz", ".bz2", ".zst")


def profile_files(path: Path) -> Profile:
    """The statistics of every column of a CSV or Parquet file, or of a folder of them.

    Files are read a few columns at a time, as many as have a million values together (CSV by way of Parquet in the
    temporary folder), so memory is for two copies of the largest column: 160 MB for 10 M doubles.

    Raises:
        SettingsError: no such file.
        FeedError: it cannot be read, or has a column of lists or structs.
    """
    with _as_parquet(path) as files:
        return profile(_columns(ds.dataset(files, format="parquet")))


def _columns(dataset: ds.Dataset) -> Iterator[tuple[str, pa.ChunkedArray]]:
    """Names and values: each read costs what all columns cost to name, 8 ms for 3,000."""
    names, at_once = dataset.schema.names, max(1, VALUES // max(1, dataset.count_rows()))
    for start in range(0, len(names), at_once):
        some = dataset.to_table(names[start : start + at_once])
        yield from zip(some.column_names, some.columns, strict=True)


# days and times as the stream reads them: ISO 8601 alone
_AS_READ: dict[str, Any] = {"header": True, "sample_size": -1, "date_format": "%Y-%m-%d", "timestamp_format": "iso"}
_BOOLEANS = set(PLAIN.true_values) | set(PLAIN.false_values)


def _other_words(engine: "duckdb.DuckDBPyConnection", names: Any) -> Iterator[str]:
    """The columns that duckdb takes for booleans and the stream does not, because their words are yes and no."""
    found = engine.read_csv(names, **_AS_READ)
    texts = engine.read_csv(names, all_varchar=True, **_AS_READ)
    for column, kind in zip(found.columns, found.types, strict=True):
        if kind == "BOOLEAN":
            name = column.replace('"', '""')
            words = texts.project(f'lower(trim("{name}"))').distinct().fetchall()
            if {word for (word,) in words if word} - _BOOLEANS:
                yield column


@contextmanager
def _as_parquet(path: Path) -> Iterator[list[str]]:
    """The files as Parquet; CSV is copied, its types and delimiter as duckdb finds them in all rows."""
    files = data_files(path, "name a CSV or Parquet file, or a folder of them")
    if is_parquet(files[0]):
        yield [str(file) for file in files]
        return
    import duckdb

    with tempfile.TemporaryDirectory() as folder, duckdb.connect(config={"temp_directory": folder}) as engine:
        copy = f"{folder}/csv.parquet"
        try:
            engine.execute("SET TimeZone = 'UTC'")
            names: Any = [str(file) for file in files]  # duckdb's types know of one file only
            kinds = dict.fromkeys(_other_words(engine, names), "VARCHAR")
            engine.read_csv(names, dtype=kinds or None, **_AS_READ).write_parquet(copy)
        except duckdb.Error as error:
            why = _other_encoding(files) or f"{str(error).splitlines()[0]}; mend the file"
            msg = f"{path} cannot be read as CSV: {why}"
            raise FeedError(msg) from error
        yield [copy]


def _other_encoding(files: Sequence[Path]) -> str:
    """Which file is not UTF-8, and what to do; empty if all are, or are packed."""
    for file in files:
        if file.suffix.lower() in PACKED:
            continue
        try:
            with file.open(encoding="utf-8") as text:
                while text.read(2**20):
                    pass
        except UnicodeDecodeError as error:
            bad = error.object[error.start : error.start + 1].hex()
            return (
                f"found the byte 0x{bad} in {file.name}, wanted UTF-8; propose from a copy in UTF-8 "
                f"(iconv -f cp1252 -t utf-8), and write csv: {{encoding: cp1252}} into the feed"
            )
    return ""
