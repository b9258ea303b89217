"""The rows of a micro-batch by what they say of themselves, where its commit cannot be read any more.

Compaction moves rows into files of other commits; clean-up and vacuum delete the entries and files that they came in.
The rows still have the number of their micro-batch, and `batches` knows which commit that was.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from schemas.settings import Storage
from streamscore.landing.manifest import source_file
from streamscore.storage.places import open_folder
from streamscore.tables.batch import BatchRecord
from streamscore.tables.commit import record_of_row
from streamscore.tables.log_entry import unusable
from streamscore.tables.make import is_table

if TYPE_CHECKING:  # it imports pandas: 1.9 s of processor time
    import pyarrow.dataset as pa_dataset


def batches_between(batches: str, storage: Storage, first: int, last: int) -> list[BatchRecord]:
    """The micro-batches whose commits are these versions of the table of predictions, or forecasts, oldest first.

    Args:
        batches: where the table `batches` is; none are known where it is not there.

    Raises:
        StorageError: it cannot be read.
    """
    if not is_table(batches, storage):
        return []
    of_them = (pc.field("table_version") >= first) & (pc.field("table_version") <= last)
    with _reading(batches):
        records = map(record_of_row, _open(batches, storage).to_table(filter=of_them).to_pylist())
        once = {(record.app_id, record.batch_id): record for record in records}
    return sorted(once.values(), key=lambda record: (record.table_version, record.committed_at))


class BatchRows:
    """The rows of micro-batches as a table has them now."""

    def __init__(self, uri: str, storage: Storage, schema: pa.Schema) -> None:
        self._uri, self._storage, self._schema = uri, storage, schema

    @functools.cached_property
    def _rows(self) -> "pa_dataset.Dataset":
        return _open(self._uri, self._storage)

    def of(self, record: BatchRecord) -> pa.Table:
        """The rows of one, with the columns of the schema.

        Numbers of micro-batches begin again with a new checkpoint, so the source file has to be right as well.

        Raises:
            StorageError: the table cannot be read.
        """
        of_it = (pc.field("batch_id") == record.batch_id) & pc.field("source_file").isin(sorted(_names(record)))
        with _reading(self._uri):
            return self._rows.to_table(self._schema.names, filter=of_it).cast(self._schema)


def _open(uri: str, storage: Storage) -> "pa_dataset.Dataset":
    folder = open_folder(uri, storage)
    table = DeltaTable(uri, storage_options=folder.delta_options())
    return table.to_pyarrow_dataset(filesystem=folder.arrow_files())


@contextlib.contextmanager
def _reading(uri: str) -> Iterator[None]:
    try:
        yield
    except (DeltaError, pa.ArrowException, OSError) as error:
        raise unusable(uri, "read", error) from error


def _names(record: BatchRecord) -> Iterator[str]:
    """What its files may be called in the tables, whichever of the folders above them is the landing folder."""
    for file in record.files:
        slash = file.path.find("/")
        while slash >= 0:
            yield source_file(file, file.path[:slash])
            slash = file.path.find("/", slash + 1)
