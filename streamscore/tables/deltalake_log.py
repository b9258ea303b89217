"""A table's log that `deltalake` commits to: where its folder has no put-if-absent."""

from collections.abc import Sequence
from typing import Any, Self

from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from streamscore.tables.delta_log import ATTEMPTS, NO_HOOKS, DeltaLog
from streamscore.tables.log_entry import parse_entry, unusable
from streamscore.tables.parts import Part

RELOAD = 50  # commits after which a kept handle is opened anew: at each refresh it reads all entries since its opening


class DeltalakeLog(DeltaLog):
    """The log of a table as a kept handle of `deltalake` sees it; it stays the table's until the next start."""

    _table: DeltaTable
    _loaded: int  # the version at which the handle was opened
    _behind: bool  # the handle has not taken in our own last commit

    @classmethod
    def instead_of(cls, other: DeltaLog) -> Self:
        """The log of the same table, for the same owner."""
        log = cls(other.uri, other.storage)
        log.owner, log.replaces = other.owner, other.replaces
        return log

    def refresh(self) -> None:
        try:
            self._table.update_incremental()
        except (DeltaError, OSError) as error:
            raise unusable(self.uri, "read", error) from error
        self._take_in_handle()
        if self.version - self._loaded >= RELOAD:
            self._load()

    def append(self, parts: Sequence[Part], app_id: str, number: int, metadata: str) -> int:
        if self._behind:
            self.refresh()
        self._assert_next(app_id, number)
        self._assert_store_refuses()
        self._commit(parts, app_id, number, metadata)
        self._behind = True  # the handle is at the version it committed from; the next batch refreshes it anyway
        version = self.version + 1
        while (text := self._read(version)) is not None and parse_entry(version, text).metadata != metadata:
            version += 1
        return version

    def _commit(self, parts: Sequence[Part], app_id: str, number: int, metadata: str) -> None:
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
            try:
                self._table.create_write_transaction(adds, "append", self._table.schema(), **options)
                return
            except CommitFailedError as error:
                # it is not in: somebody took the transaction, or the table, or deleted or compacted rows
                self.refresh()
                self._assert_next(app_id, number)
                if not left:
                    raise unusable(self.uri, "commit to", error) from error
            except (DeltaError, OSError) as error:
                raise unusable(self.uri, "commit to", error) from error

    def _load(self) -> None:
        self._table = self.handle()
        self._take_in_handle()
        self._loaded = self.version

    def _take_in_handle(self) -> None:
        self._look(self._table)
        self._behind = False

    def _snapshot(self) -> DeltaTable:
        return self._table
