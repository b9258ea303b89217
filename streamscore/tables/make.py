"""A table that is not there yet: whether it is, and making it."""

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from schemas.settings import Storage
from streamscore.storage.places import open_folder
from streamscore.tables.log_entry import unusable

FIRST = f"{0:020}.json"  # entry of a table's log

# A wide feed must not push `batch_id` and `source_file` out of the statistics, which end at column 32 by default.
PROPERTIES = {"delta.dataSkippingNumIndexedCols": "-1"}


def is_table(uri: str, storage: Storage) -> bool:
    """Whether a table is there: its log begins, or a checkpoint of it does.

    Not by `deltalake`, which stops all threads of Python while a slow object store does not answer.

    Raises:
        StorageError: the place cannot be read.
    """
    log = open_folder(uri, storage).at("_delta_log")
    try:
        return any(log.read(name) for name in (FIRST, "_last_checkpoint"))
    except OSError as error:
        raise unusable(uri, "use", error) from error


def make_table(uri: str, schema: pa.Schema, storage: Storage) -> None:
    """Make a table; nothing to do where there is one.

    Raises:
        StorageError: it cannot be made.
    """
    folder = open_folder(uri, storage)
    try:
        folder.make()
        if folder.at("_delta_log").read(FIRST) == b"":  # a power cut took its content
            folder.at("_delta_log").delete(FIRST)
        options = folder.delta_options()
        DeltaTable.create(folder.uri, schema, mode="ignore", configuration=PROPERTIES, storage_options=options)
        folder.sync()  # before anything else is in the table: without its first entry nobody can open it
    except (DeltaError, OSError) as error:
        raise unusable(uri, "use", error) from error
