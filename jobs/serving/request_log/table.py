"""The table `requests` of one feed: made, widened, and committed to by several processes."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import Schema
from deltalake.exceptions import DeltaError

from jobs.serving.request_log.spool import Segment, Spool
from schemas.errors import StorageError
from schemas.settings import Storage
from streamscore.tables.delta_log import NO_HOOKS, DeltaLog
from streamscore.tables.deltalake_log import DeltalakeLog
from streamscore.tables.log_entry import unusable
from streamscore.tables.make import is_table, make_table
from streamscore.tables.own_put_log import OwnPutLog
from streamscore.tables.parts import Part, write_part


class RequestsTable:
    """One table, opened when something is committed to it, and again after an error."""

    def __init__(self, uri: str, storage: Storage) -> None:
        self.uri, self._storage = uri, storage
        self._log: DeltaLog | None = None

    def commit(self, segments: Sequence[Segment], spool: Spool) -> None:
        """Append the segments of a spool, in their order, once.

        1. Leave out what is in: the table knows the newest number of each spool.  2. Columns that it lacks.
        3. The parts into its folder.  4. One commit.
        Whatever fails, the same call may be made again.

        Raises:
            StreamscoreError: the table cannot be written, or asks more of a writer than ours does.
        """
        try:
            log = self._opened(segments[0].schema)
            log.refresh()
            newest = log.transaction(spool.app_id)  # 1
            left = [one for one in segments if newest is None or one.number > newest]
            if not left:
                return
            for schema in {one.schema for one in left}:
                self._widen(log, schema)  # 2
            parts = [_put(segment, spool, log) for segment in left]  # 3
            log.append(parts, spool.app_id, left[-1].number, "")  # 4
        except (DeltaError, OSError) as error:
            self._log = None
            raise unusable(self.uri, "use", error) from error
        except BaseException:
            self._log = None
            raise

    def sync(self) -> None:
        """Return once what was committed is safe from a power cut."""
        if self._log is not None:
            self._log.folder.sync()

    @property
    def is_remote(self) -> bool:
        """Whether every commit is safe at once."""
        return self.uri.startswith("s3://")

    def _opened(self, schema: pa.Schema) -> DeltaLog:
        log = self._log
        if log is None:
            # a store that does not answer is noticed here; `deltalake` would stop all threads meanwhile
            if not is_table(self.uri, self._storage):
                make_table(self.uri, schema, self._storage)
            log = OwnPutLog(self.uri, self._storage)
        if not log.fits:
            log = DeltalakeLog.instead_of(log)
        self._log = log
        return log

    def _widen(self, log: DeltaLog, schema: pa.Schema) -> None:
        there = set(log.schema.names)
        missing = [field for field in Schema.from_arrow(schema).fields if field.name not in there]
        if missing:
            log.handle_to_write().alter.add_columns(missing, post_commithook_properties=NO_HOOKS)
            log.refresh()


def _put(segment: Segment, spool: Spool, log: DeltaLog) -> Part:
    """The segment's part in the folder of the table."""
    data = spool.folder.read(segment.part.path)
    if data is None:
        msg = f"{spool.folder.uri}/{segment.part.path} is gone; its requests are lost"
        raise StorageError(msg)
    types = {field.name: field.type for field in log.schema}
    others = [one.name for one in segment.schema if types[one.name] != one.type]
    if others:
        rows = pq.read_table(pa.BufferReader(data))
        return write_part(_fitted(rows, others, log.schema), log.folder)
    log.folder.write(segment.part.path, data)
    return segment.part


def _fitted(rows: pa.Table, others: Sequence[str], schema: pa.Schema) -> pa.Table:
    """Rows some of whose columns have another type in the table: values that do not fit it are text in `raw`."""
    kept = rows["raw"].to_pylist()
    for name in others:
        values, at = rows[name], rows.schema.get_field_index(name)
        wanted = schema.field(name).type
        try:
            rows = rows.set_column(at, name, values.cast(wanted))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            said = [None if value is None else f"{name}: {value}" for value in values.to_pylist()]
            kept = ["\n".join(filter(None, pair)) or None for pair in zip(kept, said, strict=True)]
            rows = rows.set_column(at, name, pa.nulls(len(rows), wanted))
    return rows.set_column(rows.schema.get_field_index("raw"), "raw", pa.array(kept, pa.string()))
