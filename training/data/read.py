"""CSV and Parquet files of a feed: columns found by name, typed as the feed declares; values are not judged here."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet as pq

from schemas.columns import header_key
from schemas.dialect import ENDINGS
from schemas.errors import FeedError, SettingsError
from schemas.feed import TYPES, Column, Feed
from streamscore.reading.convert import convert
from training.data.read_csv import csv_names, read_csv

CSV_ENDINGS = (*ENDINGS, ".csv.bz2", ".csv.zst", ".tsv")
PARQUET_ENDING = ".parquet"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which columns to read, and as what.

    Attributes:
        needed: a file that lacks one is refused.
        optional: left out where any of the files lacks them.
        types: by name, where it is not the feed's own type.
    """

    needed: Sequence[Column]
    optional: Sequence[Column] = ()
    types: Mapping[str, pa.DataType] | None = None

    def type_of(self, column: Column) -> pa.DataType:
        """The type in Arrow that the column is read as."""
        return (self.types or {}).get(column.name, column.arrow_type)


@dataclass(frozen=True, slots=True)
class Read:
    """What files hold.

    Attributes:
        table: the wanted columns under the feed's names, needed ones first.
        digest: SHA-256, hexadecimal: of the file's bytes; for a folder, of a line `<digest>  <name>` for each file.
    """

    table: pa.Table
    digest: str


def read_files(feed: Feed, path: Path, wanted: Wanted) -> Read:
    """The rows of a CSV or Parquet file, or of all such files of a folder in the order of their names.

    CSV is read as the stream reads it. A Parquet column may also have the name of the tables (snake_case); it may be
    narrower than the feed's type or text that is such a value, but no text is made of numbers.

    Raises:
        SettingsError: no such file or folder, or one with files of both kinds.
        FeedError: a file lacks a column, has one twice, or holds a value that is not of its type; empty files too.
    """
    files = data_files(path, f"give one with --data, or get one: streamscore fetch {feed.name}", feed.csv.endings)
    names = {file: column_names(feed, file) for file in files}
    found = {file: _spelled(feed, file, names[file], wanted) for file in files}
    optional = [c for c in wanted.optional if all(c.name in spelled for spelled in found.values())]
    columns = [*wanted.needed, *optional]
    tables, digests = [], []
    for file in files:
        read = _parquet if is_parquet(file) else _csv
        table = read(feed, file, {c: found[file][c.name] for c in columns}, wanted)
        tables.append(table.rename_columns([c.name for c in columns]))
        with file.open("rb") as bytes_of:
            digests.append(hashlib.file_digest(bytes_of, "sha256").hexdigest())
    lines = "".join(f"{digest}  {file.name}\n" for digest, file in zip(digests, files, strict=True))
    digest = hashlib.sha256(lines.encode()).hexdigest() if path.is_dir() else digests[0]
    whole = pa.concat_tables(tables)
    if not whole.num_rows:
        msg = f"{path} has a header and no rows; training wants some: streamscore sample {feed.name} --rows 5000"
        raise FeedError(msg)
    return Read(whole, digest)


def data_files(path: Path, act: str, csv_endings: tuple[str, ...] = CSV_ENDINGS) -> tuple[Path, ...]:
    """The file itself, or the data files of a folder by name; names with `.` or `_` in front are passed over.

    Args:
        act: the end of the message where nothing is there.
        csv_endings: of CSV files in a folder.

    Raises:
        SettingsError: nothing there, a Delta table, or CSV and Parquet side by side.
    """
    if path.is_file():
        return (path,)
    if not path.is_dir():
        msg = f"no file {path}: {act}"
        raise SettingsError(msg)
    if (path / "_delta_log").is_dir():
        msg = f"{path} is a Delta table, wanted files: train on it with --predictions {path} --labels FILE"
        raise SettingsError(msg)
    endings = (*csv_endings, PARQUET_ENDING)
    files = sorted(f for f in path.iterdir() if f.name.endswith(endings) and not f.name.startswith((".", "_")))
    if not files:
        msg = f"no file in {path} ends with {', '.join(endings)}: {act}"
        raise SettingsError(msg)
    if len({is_parquet(file) for file in files}) > 1:
        msg = f"{path} has CSV and Parquet files side by side; give one kind a folder of its own"
        raise SettingsError(msg)
    return tuple(files)


def is_parquet(path: Path) -> bool:
    """By its name; all else is taken for CSV."""
    return path.name.endswith(PARQUET_ENDING)


def column_names(feed: Feed, file: Path) -> list[str]:
    """The names in a file's header; of a Parquet file, in its schema.

    Raises:
        FeedError: it has none, or cannot be read.
    """
    if is_parquet(file):
        try:
            return list(pq.read_schema(file).names)
        except (pa.ArrowInvalid, OSError) as error:
            msg = f"{file} is no Parquet file: {' '.join(str(error).split())}; write it again"
            raise FeedError(msg) from error
    return csv_names(feed, str(file), file)


def folded(feed: Feed, name: str) -> str:
    """What two spellings of one column's name have in common, as the feed's `csv.header` says."""
    return header_key(name, feed.csv.header)


def _spelled(feed: Feed, file: Path, header: list[str], wanted: Wanted) -> dict[str, str]:
    """How the file spells each wanted column that it has."""
    names: dict[str, str] = {}
    for column in (*wanted.needed, *wanted.optional):
        called = [name for name in header if folded(feed, name) == folded(feed, column.name)]
        if not called and is_parquet(file):
            called = [name for name in header if name == column.table_name]
        if len(called) > 1:
            msg = f"{file} has column '{column.name}' more than once; leave one"
            raise FeedError(msg)
        if called:
            names[column.name] = called[0]
    if missing := [c for c in wanted.needed if c.name not in names]:
        kind = "the target" if [c.role for c in missing] == ["target"] else "columns"
        msg = (
            f"{file} lacks {kind} {', '.join(repr(c.name) for c in missing)}; its header has "
            f"{', '.join(header)[:300]}; wanted what schemas/{feed.name}.yaml declares "
            f"(delimiter {feed.csv.delimiter!r})"
        )
        raise FeedError(msg)
    return names


def _csv(feed: Feed, file: Path, spelled: Mapping[Column, str], wanted: Wanted) -> pa.Table:
    """As the stream reads it; the columns that a type is given for are read as that."""
    named = {kind: name for name, kind in TYPES.items()}
    columns = [c.model_copy(update={"type": named[wanted.type_of(c)]}) for c in spelled]
    return read_csv(feed, str(file), file, columns)


def _parquet(feed: Feed, file: Path, spelled: Mapping[Column, str], wanted: Wanted) -> pa.Table:
    table = pq.read_table(file, columns=list(spelled.values())).select(list(spelled.values()))
    table = with_read_times(feed, table, {name: column for column, name in spelled.items()})
    return typed(feed, str(file), table, {name: wanted.type_of(column) for column, name in spelled.items()})


def with_read_times(feed: Feed, table: pa.Table, columns: Mapping[str, Column]) -> pa.Table:
    """The table with its timestamps as the stream reads them: text too, and without a zone those of the feed's."""
    for name, column in columns.items():
        values = table[name]
        if column.type != "timestamp":
            continue
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            found = convert(values.cast(pa.string()), column, feed.csv)
            values = values if found.failed else pa.chunked_array([found.values])
        elif pa.types.is_timestamp(values.type) and values.type.tz is None:
            values = pc.assume_timezone(values.cast(pa.timestamp("us")), column.zone or "UTC")
        table = table.set_column(table.column_names.index(name), name, values)
    return table


def typed(feed: Feed, where: str, table: pa.Table, types: Mapping[str, pa.DataType]) -> pa.Table:
    """The table with its columns as these types, no value changed.

    Raises:
        FeedError: a column or a value in it is not of its type.
    """
    for number, (name, kind) in enumerate(types.items()):
        column = table[name]
        value_type = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        is_text = pa.types.is_string(value_type) or pa.types.is_large_string(value_type)
        try:
            if kind == pa.string() and not is_text and not pa.types.is_null(value_type):
                msg = "how these values were written is not known"
                raise pa.ArrowInvalid(msg)
            table = table.set_column(number, name, column.cast(kind))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            msg = (
                f"{where} does not hold what feed {feed.name} declares: '{name}' is {column.type}, wanted {kind}: "
                f"{error}; mend the file, or the type in schemas/{feed.name}.yaml"
            )
            raise FeedError(msg) from error
    return table
