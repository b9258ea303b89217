"""Small files of one table into few: the same rows, in one commit that says that no row changed."""

import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa
import structlog
from deltalake import DeltaTable

from jobs.maintenance.plan_compaction import FEWEST, MEMORY, DataFile, plan
from schemas.errors import StorageError, TryAgainError
from streamscore.tables.delta_log import DeltaLog
from streamscore.tables.parts import write_part
from streamscore.tables.read_part import read_part
from streamscore.tables.understood import obstacle

log = structlog.get_logger()

READERS = 8  # files of an object store that are read at once
AT_ONCE = 32  # files that are read between two looks at the memory they take
TRIES = 5  # at one table, while others take its files away
PLAIN = re.compile(r"[\w.-]+\.parquet")  # a name that stands in the log as it is in the folder


@dataclass
class Budget:
    """What a round may do; None is any amount. Looked at between two commits.

    Attributes:
        left_bytes: of files to be read.
    """

    seconds: float | None = None
    left_bytes: int | None = None
    begun: float = field(default_factory=time.monotonic)

    @property
    def spent(self) -> bool:
        late = self.seconds is not None and time.monotonic() - self.begun > self.seconds
        return late or (self.left_bytes is not None and self.left_bytes <= 0)

    def spend(self, size: int) -> None:
        """Note so many bytes."""
        if self.left_bytes is not None:
            self.left_bytes -= size


def files_of(table: DeltaTable) -> list[DataFile]:
    """The files of a table, as of its handle."""
    actions = table.get_add_actions()
    columns = [actions[name].to_pylist() for name in ("path", "size_bytes", "modification_time", "num_records")]
    return [DataFile(*values) for values in zip(*columns, strict=True)]


def not_ours_to_compact(of_table: DeltaLog, table: DeltaTable) -> str:
    """Why a table is left as it is; empty if it is not."""
    if found := obstacle(table):
        return f"it {found}"
    return "" if of_table.can_rearrange else "its storage asks for another writer's commits"


def compact(of_table: DeltaLog, target_bytes: int, budget: Budget) -> int:
    """Make the small files few; gives the number of files that went.

    1. Choose, at the newest version.  2. Read them.  3. Write one part.  4. Commit it in their place.
    Nothing is lost or doubled wherever it ends: a part without its commit is in no table.

    Raises:
        StorageError: the table cannot be read or written, or a file holds other rows than the log says.
        TryAgainError: others took the same files away again and again.
    """
    gone, tries, passed_over = 0, 0, set[str]()
    width = 0.0
    while not budget.spent:
        of_table.refresh()
        table = of_table.handle()
        if not_ours_to_compact(of_table, table):
            break
        version, schema = table.version(), pa.schema(table.schema().to_arrow())
        there = [file for file in files_of(table) if PLAIN.fullmatch(file.path) and file.path not in passed_over]
        made = 0
        try:
            width = width or _row_bytes(of_table, there, schema)
            for group in plan(there, target_bytes, width):
                if budget.spent:
                    break
                taken = _compact_group(of_table, group, schema, version)
                budget.spend(sum(file.size for file in group))
                passed_over |= set() if taken else {file.path for file in group}
                gone += taken
                made += taken > 0
        except TryAgainError:
            tries += 1
            if tries == TRIES:
                raise
            continue
        if (
            made < FEWEST
        ):  # what was made is not worth another pass; what a stream has added meanwhile is the next one's
            break
    return gone


def _compact_group(of_table: DeltaLog, group: Sequence[DataFile], schema: pa.Schema, version: int) -> int:
    """Gives the number of files that became one; 0 where memory holds only one of them."""
    read, tables, held = list[DataFile](), list[pa.Table](), 0
    for file, rows in _read(of_table, group, schema):  # 2
        if file.rows not in (None, rows.num_rows):
            msg = (
                f"{of_table.uri}/{file.path} holds {rows.num_rows} rows, the table's log says {file.rows}; it is not "
                f"compacted; look: streamscore doctor"
            )
            raise StorageError(msg)
        if held and held + rows.nbytes > 2 * MEMORY:  # they take more than was guessed: the rest stays for later
            break
        read.append(file)
        tables.append(rows)
        held += rows.nbytes
    if len(read) < 2:
        return 0
    whole = pa.concat_tables(tables)
    tables.clear()
    part = write_part(whole, of_table.folder)  # 3
    try:
        of_table.rearrange({file.path: file.size for file in read}, part, version)  # 4
    except TryAgainError:
        of_table.folder.delete(part.path)
        raise
    return len(read)


def _read(of_table: DeltaLog, group: Sequence[DataFile], schema: pa.Schema) -> Iterator[tuple[DataFile, pa.Table]]:
    files = of_table.folder.arrow_files()
    readers = READERS if of_table.folder.is_remote else 1
    with ThreadPoolExecutor(readers) as pool:
        for i in range(0, len(group), AT_ONCE):
            some = group[i : i + AT_ONCE]
            yield from zip(
                some, pool.map(lambda file: read_part(files, file.path, schema, of_table.uri), some), strict=True
            )


def _row_bytes(of_table: DeltaLog, files: Sequence[DataFile], schema: pa.Schema) -> float:
    """Bytes of a row in memory, guessed from the newest small file."""
    newest = max((f for f in files if f.rows and f.size < 2**20), key=lambda file: file.modified, default=None)
    if newest is None:
        return 0.0
    rows = read_part(of_table.folder.arrow_files(), newest.path, schema, of_table.uri)
    return rows.nbytes / max(rows.num_rows, 1)
