"""One Delta table's log: which transactions are in, what its commits say, and putting the next commit.

`deltalake` 1.6.6 lists all active files anew at every refresh and again at every commit: 4 ms at 10 files, 12 ms
at 1,000, 73 ms at 10,000, even right after a checkpoint of the log, and 340 ms after 1,000 commits without one. A blind
append needs none of them, so in a local folder the next entry of the log is put here, whole or not at all, in 0.2 ms
whatever the table holds; in an object store by a conditional PUT. Where that is not safe (no put-if-absent, a table
with features beyond Delta's writer version 2) `deltalake` commits.
"""

import functools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from schemas.errors import ConflictError, StorageError, TryAgainError
from schemas.settings import Storage
from streamscore.storage.places import open_folder
from streamscore.tables.log_entry import (
    ENTRY,
    Entry,
    actions,
    entry_text,
    is_rearrangement,
    parse_entry,
    puts_if_absent,
    rearrangement_text,
    unusable,
)
from streamscore.tables.parts import Part

if TYPE_CHECKING:  # it imports pandas: 1.9 s of processor time, which maintenance beside a stream would take from it
    import pyarrow.dataset as pa_dataset

ATTEMPTS = 20  # puts of one commit while others keep taking the next version
RELOAD = 50  # commits after which a kept handle is opened anew: at each refresh it reads all entries since its opening
STALE = 60.0  # seconds after which the next entry may have been written and cleaned away unseen
FRESH = 5.0  # seconds in which an object store is not asked for that: two requests a micro-batch fewer, 5 ms
REARRANGED = 16  # compactions at once that are looked at one by one
SIMPLE_WRITER = 2  # up to this writer version a table has no features that an append must honour

# Neither checkpoints nor clean-up in a micro-batch's own time; Housekeeping writes checkpoints.
NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


class DeltaLog:
    """The log of one table, as of the last `refresh`. For one thread; `again` gives another thread its own.

    Raises:
        StorageError: from every method, when the table cannot be read or written; names it.
    """

    def __init__(self, uri: str, storage: Storage | None = None, *, own_puts: bool = True) -> None:
        """Open the table.

        Args:
            uri: a local path or `s3://…`.
            storage: how the object store is reached.
            own_puts: put log entries here where that is safe; otherwise `deltalake` always commits.
        """
        self.uri, self.storage, self._own_puts = uri, storage or Storage(), own_puts
        self.folder = open_folder(uri, self.storage)
        self._log = self.folder.at("_delta_log")
        self.storage_options = self.folder.delta_options()
        self._fields: dict[str, Any] = {}
        self._transactions: dict[str, int | None] = {}
        self.version = -1
        self._load()

    def reopen(self) -> "DeltaLog":
        """The same table, opened anew."""
        return DeltaLog(self.uri, self.storage, own_puts=self._own_puts)

    def handle(self) -> DeltaTable:
        """A handle of `deltalake` of its own, at the newest version."""
        try:
            return DeltaTable(self.uri, storage_options=self.storage_options)
        except (DeltaError, OSError) as error:
            raise unusable(self.uri, "open", error) from error

    def dataset(self) -> "pa_dataset.Dataset":
        """The table's rows, at the newest version.

        Read by Arrow's file system: `deltalake`'s calls Python from Arrow's threads, and aborted at some exits.
        """
        return self.handle().to_pyarrow_dataset(filesystem=self.folder.arrow_files())

    def rows_of(self, parts: Sequence[Part], schema: pa.Schema) -> pa.RecordBatchReader:
        """The rows of parts that lie in the table's folder."""
        import pyarrow.dataset as pa_dataset

        paths = [part.path for part in parts]
        return pa_dataset.dataset(paths, schema, "parquet", filesystem=self.folder.arrow_files()).scanner().to_reader()

    def refresh(self) -> None:
        """Take in what was committed since; reads only the new entries: 0.03 ms if there are none."""
        if self._table is not None:
            try:
                self._table.update_incremental()
            except (DeltaError, OSError) as error:
                raise unusable(self.uri, "read", error) from error
            self._look(self._table)
            if self.version - self._loaded >= RELOAD:
                self._load()
            return
        text = self._read(self.version + 1)
        if text is None and self._may_have_missed(
            self.version + 1
        ):  # entries go oldest first: none is missed before one
            self._load()
            return
        while text is not None:
            if self._take_in(text):
                self._load()
            else:
                self.version += 1
            text = self._read(self.version + 1)
        self._looked_at = time.time()

    def transaction(self, app_id: str) -> int | None:
        """The newest transaction version of an app, None if it has none."""
        if app_id not in self._transactions:
            self._transactions[app_id] = (self._table or self.handle()).transaction_version(app_id)
        return self._transactions[app_id]

    def last_checkpoint(self) -> int:
        """The version of the log's newest checkpoint, -1 if there is none."""
        try:
            return json.loads(self._log.read("_last_checkpoint") or b"")["version"]
        except (ValueError, KeyError):
            return -1

    def append(self, parts: Sequence[Part], app_id: str, number: int, metadata: str) -> int:
        """Commit parts, perhaps none, as transaction `number` of the app; gives the table's new version.

        Commits only if all transactions of the app that are in are older, whoever commits at the same time. An empty
        app id commits without a transaction.

        Raises:
            ConflictError: such a transaction is in.
        """
        if self._behind:
            self.refresh()
        self._assert_newer(app_id, number)
        if self.folder.is_remote and not self._can_put:
            raise StorageError(
                f"{self.uri}: this object store does not honour If-None-Match, wanted one that does: commits of two "
                f"drivers would overwrite each other; use another store, or another release of it"
            )
        if self._table is None and not self._can_put:
            self._own_puts = False
            self._load()
            self._assert_newer(app_id, number)
        if self._table is not None:
            return self._append_by_deltalake(parts, app_id, number, metadata)
        for _ in range(ATTEMPTS):
            version = self.version + 1
            if self._put(version, entry_text(parts, app_id, number, metadata, self.version)):
                self.version, self._transactions[app_id] = version, number
                self._assert_still_there(version, app_id, number)
                return version
            self.refresh()
            self._assert_newer(app_id, number)
        raise StorageError(f"{self.uri}: {ATTEMPTS} commits of others came first; stop them or try again")

    def rearrange(self, old: Mapping[str, int], part: Part, read: int) -> int:
        """Commit a part in the place of files that hold the same rows, whoever commits meanwhile; gives the version.

        A commit of others, which is never in the way of theirs, is in the way of this one only if it takes one of
        these files away, or changes columns or protocol.

        Args:
            old: path → bytes.
            read: the version of the table that they were found in.

        Raises:
            TryAgainError: such a commit came first; nothing was committed.
        """
        version = read + 1
        for _ in range(ATTEMPTS):
            while (text := self._read(version)) is not None:
                self._assert_apart(text, old)
                version += 1
            if self._put(version, rearrangement_text(old, part, version - 1)):
                break
        else:
            raise TryAgainError(f"{self.uri}: {ATTEMPTS} commits of others came first; try again")
        if self.last_checkpoint() >= version and part.path not in self.handle().get_add_actions()["path"].to_pylist():
            self._log.delete(f"{version:020}.json")  # the entries after `read` had been cleaned away
            raise TryAgainError(f"{self.uri}: version {version} is long past, compaction came too late; try again")
        return version

    def _assert_apart(self, text: str, old: Mapping[str, int]) -> None:
        taken = (json.loads(line)["remove"]["path"] for line in actions(text, "remove"))
        if any(path in old for path in taken) or any(True for _ in actions(text, "metaData", "protocol")):
            raise TryAgainError(f"{self.uri}: another commit changed what was to be compacted; try again")

    def only_rearranged(self, after: int, before: int) -> bool:
        """Whether all commits between two versions, neither of them included, moved rows and changed none."""
        if not 0 < before - after <= REARRANGED:
            return False
        return all((text := self._read(v)) is not None and is_rearrangement(text) for v in range(after + 1, before))

    @property
    def can_rearrange(self) -> bool:
        """Whether `rearrange` is safe here: entries are put by us, and no feature asks more of who rewrites rows."""
        return self._table is None and self._can_put

    def entries(self, after: int = -1, *, newest_first: bool = False) -> Iterator[Entry]:
        """The commits after a version that the log still has, up to the last refresh."""
        for version in self._versions(after)[:: -1 if newest_first else 1]:
            if version <= self.version and (text := self._read(version)) is not None:
                yield parse_entry(version, text)

    # --- how

    def _load(self) -> None:
        """Everything anew. `deltalake`'s handle holds about 1 KB a file, and is kept only where it is to commit."""
        table = self.handle()
        self._look(table)
        self._loaded = self.version
        protocol = table.protocol()
        simple = protocol.min_writer_version <= SIMPLE_WRITER and not protocol.writer_features
        self._table = None if self._own_puts and simple else table

    def _look(self, table: DeltaTable) -> None:
        self.version, self._looked_at, self._behind = table.version(), time.time(), False
        self.schema = pa.schema(table.schema().to_arrow())
        self.properties = dict(table.metadata().configuration)
        self._transactions = {}
        fields = {field.name: field.type for field in table.schema().fields}
        for name, kind in self._fields.items():
            if fields.get(name) != kind:
                raise StorageError(
                    f"{self.uri}: column '{name}' was {kind} and now is {fields.get(name, 'gone')}; "
                    f"start the stream anew: streamscore run"
                )
        self._fields = fields

    def _may_have_missed(self, version: int) -> bool:
        """Whether that entry may have been there, and gone: those up to a checkpoint may be cleaned away."""
        age = time.time() - self._looked_at
        if self.folder.is_remote and age < FRESH:
            return False
        return age > STALE or self.last_checkpoint() >= version

    def _take_in(self, text: str) -> bool:
        """Note an entry's transactions; whether the table itself was changed by it."""
        for line in actions(text, "txn"):
            transaction = json.loads(line)["txn"]
            self._transactions[transaction["appId"]] = transaction["version"]
        return any(True for _ in actions(text, "metaData", "protocol"))

    def _assert_newer(self, app_id: str, number: int) -> None:
        found = self.transaction(app_id) if app_id else None
        if found is not None and found >= number:
            raise ConflictError(
                f"{self.uri}: transaction {number} of {app_id} cannot be committed, {found} is in: "
                f"another driver is at work; stop one of them"
            )

    def _assert_still_there(self, version: int, app_id: str, number: int) -> None:
        """Who slept between refresh and put may have put an entry that clean-up had removed: nobody would read it."""
        if not app_id or not self._may_have_missed(version):
            return
        found = self.handle().transaction_version(app_id)
        if found is None or found < number:
            self._log.delete(f"{version:020}.json")
            raise StorageError(f"{self.uri}: version {version} is long past, this commit came too late; try again")

    @functools.cached_property
    def _can_put(self) -> bool:
        return puts_if_absent(self._log)

    def _put(self, version: int, text: str) -> bool:
        """Create an entry, whole; False if there is one."""
        try:
            return self._log.create(f"{version:020}.json", text.encode())
        except OSError as error:
            raise unusable(self.uri, "commit to", error) from error

    def _append_by_deltalake(self, parts: Sequence[Part], app_id: str, number: int, metadata: str) -> int:
        """From the snapshot whose transactions were looked at: a fresh one would accept the same number again."""
        adds: list[AddAction | RemoveAction] = [
            AddAction(part.path, part.size, {}, part.modified, True, part.stats) for part in parts
        ]
        transactions = [Transaction(app_id, number)] if app_id else None
        options: dict[str, Any] = {
            "commit_properties": CommitProperties({"userMetadata": metadata}, app_transactions=transactions),
            "post_commithook_properties": NO_HOOKS,
        }
        for left in reversed(range(ATTEMPTS)):
            table = self._table or self.handle()
            try:
                table.create_write_transaction(adds, "append", table.schema(), **options)
                break
            except (
                CommitFailedError
            ) as error:  # it is not in: somebody took the transaction, or deleted or compacted rows
                self.refresh()
                self._assert_newer(app_id, number)
                if not left:
                    raise unusable(self.uri, "commit to", error) from error
            except (DeltaError, OSError) as error:
                raise unusable(self.uri, "commit to", error) from error
        self._behind = True  # the handle is still at the version it committed from; the next batch refreshes it anyway
        version = self.version + 1
        while (text := self._read(version)) is not None and parse_entry(version, text).metadata != metadata:
            version += 1
        return version

    def _versions(self, after: int) -> list[int]:
        """Log entries newer than a version, oldest first; the newest of them are found without a listing."""
        if self.version - after <= 1000:
            return list(range(max(after + 1, 0), self.version + 1))
        found = (int(match[1]) for name in self._log.names() if (match := ENTRY.fullmatch(name)))
        return sorted(version for version in found if version > after)

    def _read(self, version: int) -> str | None:
        try:
            data = self._log.read(f"{version:020}.json")
        except OSError as error:
            raise unusable(self.uri, "read", error) from error
        return None if data is None else data.decode()
