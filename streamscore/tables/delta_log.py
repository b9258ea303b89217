"""One Delta table's log: which transactions are in, and what its commits say. Two classes put the next commit."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
from deltalake import DeltaTable, PostCommitHookProperties, Schema
from deltalake.exceptions import DeltaError

from schemas.errors import ConflictError, StorageError
from schemas.settings import Storage
from streamscore.storage.places import open_folder
from streamscore.tables.log_entry import (
    ENTRY,
    Entry,
    checkpoint_version,
    is_rearrangement,
    parse_entry,
    puts_if_absent,
    unusable,
)
from streamscore.tables.owner import Owner, assert_owner
from streamscore.tables.parts import Part
from streamscore.tables.torn import blame
from streamscore.tables.understood import actions_of, appends_only, assert_understood, obstacle_in, refuse

if TYPE_CHECKING:  # it imports pandas: 1.9 s of processor time, which maintenance beside a stream would take from it
    import pyarrow.dataset as pa_dataset

ATTEMPTS = 20  # puts of one commit while others keep taking the next version
REARRANGED = 16  # compactions at once that are looked at one by one

# Neither checkpoints nor clean-up in a micro-batch's own time; Housekeeping writes checkpoints.
NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


class DeltaLog(ABC):
    """The log of one table, as of the last `refresh`. For one thread; `reopen` gives another thread its own.

    Attributes:
        folder: of the table.
        version: the newest one that was taken in.
        schema, properties: of the table.
        fits: whether this class is still the one for the table; `Tables.log` opens another one where it is not.
        replaces: rows of this table are not only added to it, but replaced at times.
        owner: the run that commits through this log; None where whoever does is not looked at.

    Raises:
        StorageError: from every method, when the table cannot be read or written; names it.
    """

    fits = True
    replaces = False
    owner: Owner | None = None
    version: int
    schema: pa.Schema
    properties: dict[str, Any]

    def __init__(self, uri: str, storage: Storage | None = None) -> None:
        """Open the table.

        Args:
            uri: a local path or `s3://…`.
            storage: how the object store is reached.
        """
        self.uri, self.storage = uri, storage or Storage()
        self.folder = open_folder(uri, self.storage)
        self._log = self.folder.at("_delta_log")
        self._options = self.folder.delta_options()
        self._fields: dict[str, Any] = {}
        self._transactions: dict[str, int | None] = {}
        self._obstacles: dict[str, str] = {}
        self._load()

    @abstractmethod
    def refresh(self) -> None:
        """Take in what was committed since."""

    @abstractmethod
    def append(self, parts: Sequence[Part], app_id: str, number: int, metadata: str) -> int:
        """Commit parts, perhaps none, as transaction `number` of the app; gives the table's new version.

        Commits only if all transactions of the app that are in are older, whoever commits at the same time. An empty
        app id commits without a transaction.

        Raises:
            ConflictError: such a transaction is in, or another run owns the table.
            ContractError: the table asks more of a writer than ours does.
        """

    def assert_writable(self) -> None:
        """Refuse to write to a table that is not understood, or that another run owns; as of the last refresh.

        Raises:
            ConflictError: another run owns it.
            ContractError: it asks more of a writer than ours does.
        """
        refuse(self.uri, self.obstacle, self.replaces and appends_only(self.properties))
        assert_owner(self.uri, self.properties, self.owner)

    @property
    def obstacle(self) -> str:
        """Why the table is not written to, not even to move its rows between files; empty if it is."""
        return next(filter(None, self._obstacles.values()), "")

    @property
    def can_rearrange(self) -> bool:
        """Whether `rearrange` is safe here: the table is understood, and entries are put by us."""
        return False

    def rearrange(self, old: Mapping[str, int], part: Part, read: int) -> int:  # noqa: ARG002
        """Commit a part in the place of files that hold the same rows, whoever commits meanwhile; gives the version.

        A commit of others, which is never in the way of theirs, is in the way of this one only if it takes one of
        these files away, or changes columns or protocol.

        Args:
            old: path → bytes.
            read: the version of the table that they were found in.

        Raises:
            TryAgainError: such a commit came first; nothing was committed.
        """
        msg = f"{self.uri}: its storage asks for another writer's commits"
        raise StorageError(msg)

    def reopen(self) -> Self:
        """The same table, opened anew."""
        return type(self)(self.uri, self.storage)

    def handle(self) -> DeltaTable:
        """A handle of `deltalake` of its own, at the newest version."""
        try:
            return DeltaTable(self.uri, storage_options=self._options)
        except (DeltaError, OSError) as error:
            if self._forget_lost_checkpoint():
                return self.handle()
            blame(self.uri, self._log, self.last_checkpoint())
            raise unusable(self.uri, "open", error) from error

    def handle_to_write(self) -> DeltaTable:
        """The same, to be written through; the table is looked at as that handle has it.

        Raises:
            ConflictError: another run owns the table; one that takes it over from now on is in the way of the commit.
            ContractError: it asks more of a writer than ours does.
        """
        table = self.handle()
        assert_understood(self.uri, table, replaces=self.replaces)
        assert_owner(self.uri, table.metadata().configuration, self.owner)
        return table

    def dataset(self) -> "pa_dataset.Dataset":
        """The table's rows, at the newest version.

        Read by Arrow's file system: `deltalake`'s calls Python from Arrow's threads, and aborted at some exits.
        """
        return self.handle().to_pyarrow_dataset(filesystem=self.folder.arrow_files())

    def rows_of(self, parts: Sequence[Part], schema: pa.Schema) -> pa.RecordBatchReader:
        """The rows of parts that lie in the table's folder."""
        import pyarrow.dataset as pa_dataset

        paths, files = [part.path for part in parts], self.folder.arrow_files()
        return pa_dataset.dataset(paths, schema, "parquet", filesystem=files).scanner().to_reader()

    def transaction(self, app_id: str) -> int | None:
        """The newest transaction version of an app, None if it has none."""
        if app_id not in self._transactions:
            self._transactions[app_id] = self._snapshot().transaction_version(app_id)
        return self._transactions[app_id]

    def last_checkpoint(self) -> int:
        """The version of the log's newest checkpoint, -1 if there is none."""
        return checkpoint_version(self._log)

    def write_checkpoint(self) -> None:
        """Write a checkpoint of the log. It is safe from a power cut on return: entries before it may be deleted."""
        self.handle().create_checkpoint()
        try:
            self.folder.sync()
        except OSError as error:
            raise unusable(self.uri, "sync", error) from error

    def only_rearranged(self, after: int, before: int) -> bool:
        """Whether all commits between two versions, neither of them included, moved rows and changed none."""
        if not 0 < before - after <= REARRANGED:
            return False
        return all((text := self._read(v)) is not None and is_rearrangement(text) for v in range(after + 1, before))

    def entries(self, after: int = -1, *, newest_first: bool = False) -> Iterator[Entry]:
        """The commits after a version that the log still has, up to the last refresh."""
        for version in self._versions(after)[:: -1 if newest_first else 1]:
            if version <= self.version and (text := self._read(version)) is not None:
                yield parse_entry(version, text)

    def _forget_lost_checkpoint(self) -> bool:
        """Whether `_last_checkpoint` named one of which a power cut left nothing: without it, the entries are read."""
        version = self.last_checkpoint()
        if version < 0:
            return False
        of_it = [file for file in self._log.listed() if file.name.startswith(f"{version:020}.checkpoint")]
        if any(file.size for file in of_it):
            return False
        self._log.delete_all(["_last_checkpoint", *(file.name for file in of_it)])
        return True

    # --- what both classes stand on

    @abstractmethod
    def _load(self) -> None:
        """Take in everything anew."""

    def _snapshot(self) -> DeltaTable:
        """A handle that need not be newer than the last refresh."""
        return self.handle()

    def _look(self, table: DeltaTable) -> None:
        """Take in what a handle says."""
        self.version = table.version()
        self._transactions = {app: table.transaction_version(app) for app in self._transactions}
        for kind, action in actions_of(table):
            self._see(kind, action)

    def _see(self, kind: str, action: dict[str, Any]) -> None:
        """Take in what a `protocol` or `metaData` action says of the table; it holds from then on."""
        self._obstacles[kind] = obstacle_in(kind, action)
        if kind != "metaData":
            return
        self.properties = dict(action.get("configuration") or {})
        try:
            schema = Schema.from_json(action["schemaString"])
        except ValueError as error:
            self._obstacles[kind] = f"has a column that streamscore does not know: {error}"
            return
        fields = {field.name: field.type for field in schema.fields}
        changed = [name for name, of_type in self._fields.items() if fields.get(name) != of_type]
        self._obstacles["columns"] = "".join(
            f"has the column '{name}' as {fields.get(name, 'gone')}, which was {self._fields[name]} when the stream "
            f"started"
            for name in changed[:1]
        )
        if not changed:
            self.schema, self._fields = pa.schema(schema.to_arrow()), fields

    def _assert_next(self, app_id: str, number: int) -> None:
        """Refuse a commit that may not be the next one, as of the last refresh."""
        self.assert_writable()
        found = self.transaction(app_id) if app_id else None
        if found is not None and found >= number:
            msg = (
                f"{self.uri}: transaction {number} of {app_id} cannot be committed, {found} is in: "
                f"another driver is at work; stop one of them"
            )
            raise ConflictError(msg)

    def _assert_store_refuses(self) -> None:
        """Only an object store that refuses the second of two PUTs of one entry may be committed to, by whomever."""
        if self.folder.is_remote and not self._can_put:
            msg = (
                f"{self.uri}: this object store does not honour If-None-Match, wanted one that does: commits of two "
                f"drivers would overwrite each other; use another store, or another release of it"
            )
            raise StorageError(msg)

    @functools.cached_property
    def _can_put(self) -> bool:
        return puts_if_absent(self._log)

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
