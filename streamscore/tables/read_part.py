"""One Parquet file of a table, with the table's columns."""

import pyarrow as pa
import pyarrow.fs as pa_fs
import pyarrow.parquet as pq

from schemas.errors import StorageError, TryAgainError


def read_part(files: pa_fs.FileSystem, path: str, schema: pa.Schema, uri: str) -> pa.Table:
    """A file's rows with the table's columns: what was added since is null, string views become strings.

    Raises:
        StorageError: it cannot be read.
        TryAgainError: it is gone.
    """
    try:
        with files.open_input_file(path) as source:
            found = pq.ParquetFile(source, coerce_int96_timestamp_unit="us").read(use_threads=False)
        columns = [
            found[field.name].cast(field.type) if field.name in found.column_names else pa.nulls(len(found), field.type)
            for field in schema
        ]
    except FileNotFoundError as error:
        msg = f"{uri}/{path} is gone; others compact the table as well; try again"
        raise TryAgainError(msg) from error
    except (OSError, pa.ArrowException) as error:
        msg = f"cannot read {uri}/{path}: {error}; look: streamscore doctor"
        raise StorageError(msg) from error
    return pa.table(columns, schema=schema)
