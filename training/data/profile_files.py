"""Statistics of the columns of CSV and Parquet files, whatever their size."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from schemas.errors import FeedError
from streamscore.statistics.profiles import Profile, profile
from training.data.read import data_files, is_parquet

VALUES = 1_000_000  # of several columns in memory


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
            # days and times as the stream reads them: ISO 8601 alone
            reading = "FROM read_csv(?, header=true, sample_size=-1, dateformat='%Y-%m-%d', timestampformat='iso')"
            engine.sql(reading, params=[[str(file) for file in files]]).write_parquet(copy)
        except duckdb.Error as error:
            msg = f"{path} cannot be read as CSV: {str(error).splitlines()[0]}; mend the file"
            raise FeedError(msg) from error
        yield [copy]
