"""One Delta table's log: which transactions are in, what its commits say, and putting the next commit.

`deltalake` 1.6.6 lists all active files anew at every refresh and again at every commit: 4 ms at 10 files, 12 ms
at 1,000, 73 ms at 10,000, even right after a checkpoint of the log, and 340 ms after 1,000 commits without one. A blind
append needs none of them, so in a local folder the next entry of the log is put here, whole or not at all, in 0.2 ms
whatever the table holds. Where that is not safe (an object store, a table with features beyond Delta's writer version
2) `deltalake` commits.
"""

import functools
import json
import os
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pa_fs
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction, RemoveAction

from jobs.streaming.parts import Part
from schemas.errors import ConflictError, StorageError

ENTRY = re.compile(r"(\d{20})\.json")
ATTEMPTS = 20  # puts of one commit while others keep taking the next version
SIMPLE_WRITER = 2  # up to this writer version a table has no features that an append must honour

# Neither checkpoints nor clean-up in a micro-batch's own time; Housekeeping writes checkpoints.
NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """One commit: its version, its time in milliseconds since 1970, and its `userMetadata`."""

    version: int
    at: int
    metadata: str | None


class DeltaLog:
    """The log of one table, as of the last `refresh`. For one thread; `again` gives another thread its own.

    Raises:
        StorageError: from every method, when the table cannot be read or written; names it.
    """

    def __init__(self, uri: str, storage_options: dict[str, str] | None = None, *, own_puts: bool = True) -> None:
        """Open the table.

        Args:
            uri: a local path or a URI.
            storage_options: how `deltalake` reaches an object store.
            own_puts: put log entries here where that is safe; otherwise `deltalake` always commits.
        """
        self.uri, self.storage_options, self._own_puts = uri, storage_options, own_puts
        self._fs = _file_system(uri, storage_options)
        self._folder = Path(uri, "_delta_log")
        self._fields: dict[str, Any] = {}
        self._transactions: dict[str, int | None] = {}
        self.version = -1
        self._load()

    def again(self) -> "DeltaLog":
        """The same table, opened anew."""
        return DeltaLog(self.uri, self.storage_options, own_puts=self._own_puts)

    def handle(self) -> DeltaTable:
        """A handle of `deltalake` of its own, at the newest version."""
        try:
            return DeltaTable(self.uri, storage_options=self.storage_options)
        except (DeltaError, OSError) as error:
            raise self._unusable("open", error) from error

    def refresh(self) -> None:
        """Take in what was committed since; reads only the new entries: 0.03 ms if there are none."""
        if self._table is not None:
            try:
                self._table.update_incremental()
            except (DeltaError, OSError) as error:
                raise self._unusable("read", error) from error
            self._look(self._table)
            return
        if _last_checkpoint(self._folder) > self.version:
            self._load()  # entries before a checkpoint may be gone
            return
        while (text := self._read(self.version + 1)) is not None:
            if self._take_in(text):
                self._load()
            else:
                self.version += 1

    def transaction(self, app_id: str) -> int | None:
        """The newest transaction version of an app, None if it has none."""
        if app_id not in self._transactions:
            self._transactions[app_id] = (self._table or self.handle()).transaction_version(app_id)
        return self._transactions[app_id]

    def last_checkpoint(self) -> int:
        """The version of the log's newest checkpoint, -1 if there is none."""
        if self._fs is None:
            return _last_checkpoint(self._folder)
        try:
            with self._fs.open_input_file("_delta_log/_last_checkpoint") as file:
                return json.loads(file.read())["version"]
        except FileNotFoundError:
            return -1

    def append(self, parts: Sequence[Part], app_id: str, number: int, metadata: str) -> int:
        """Commit parts, perhaps none, as transaction `number` of the app; gives the table's new version.

        Commits only if all transactions of the app that are in are older, whoever commits at the same time. An empty
        app id commits without a transaction.

        Raises:
            ConflictError: such a transaction is in.
        """
        self._assert_newer(app_id, number)
        if self._table is None and not _can_link(self._folder):
            self._own_puts = False
            self._load()
            self._assert_newer(app_id, number)
        if self._table is not None:
            return self._append_by_deltalake(self._table, parts, app_id, number, metadata)
        for _ in range(ATTEMPTS):
            version = self.version + 1
            if self._put(version, _actions(parts, app_id, number, metadata, self.version)):
                self.version, self._transactions[app_id] = version, number
                self._assert_still_there(version, app_id, number)
                return version
            self.refresh()
            self._assert_newer(app_id, number)
        raise StorageError(f"{self.uri}: {ATTEMPTS} commits of others came first; stop them or try again")

    def entries(self, after: int = -1, *, newest_first: bool = False) -> Iterator[Entry]:
        """The commits after a version that the log still has, up to the last refresh."""
        for version in self._versions(after)[:: -1 if newest_first else 1]:
            if version <= self.version and (text := self._read(version)) is not None:
                info: dict[str, Any] = next((json.loads(line)["commitInfo"] for line in _lines(text, "commitInfo")), {})
                yield Entry(version, info.get("timestamp", 0), info.get("userMetadata"))

    # --- how

    def _load(self) -> None:
        """Everything anew. `deltalake`'s handle holds about 1 KB a file, and is kept only where it is to commit."""
        table = self.handle()
        self._look(table)
        protocol = table.protocol()
        simple = protocol.min_writer_version <= SIMPLE_WRITER and not protocol.writer_features
        self._table = None if self._own_puts and self._fs is None and simple else table

    def _look(self, table: DeltaTable) -> None:
        self.version = table.version()
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

    def _take_in(self, text: str) -> bool:
        """Note an entry's transactions; whether the table itself was changed by it."""
        for line in _lines(text, "txn"):
            transaction = json.loads(line)["txn"]
            self._transactions[transaction["appId"]] = transaction["version"]
        return any(True for _ in _lines(text, "metaData", "protocol"))

    def _assert_newer(self, app_id: str, number: int) -> None:
        found = self.transaction(app_id) if app_id else None
        if found is not None and found >= number:
            raise ConflictError(
                f"{self.uri}: transaction {number} of {app_id} cannot be committed, {found} is in: "
                f"another driver is at work; stop one of them"
            )

    def _assert_still_there(self, version: int, app_id: str, number: int) -> None:
        """Who slept between refresh and put may have put an entry that clean-up had removed: nobody would read it."""
        if not app_id or _last_checkpoint(self._folder) < version:
            return
        found = self.handle().transaction_version(app_id)
        if found is None or found < number:
            (self._folder / f"{version:020}.json").unlink(missing_ok=True)
            raise StorageError(f"{self.uri}: version {version} is long past, this commit came too late; try again")

    def _put(self, version: int, text: str) -> bool:
        """Create an entry, whole; False if there is one. A hard link is how a local folder says put-if-absent."""
        temporary = self._folder / f"_commit_{uuid.uuid4()}.json.tmp"
        try:
            temporary.write_text(text, "utf-8")
            os.link(temporary, self._folder / f"{version:020}.json")
        except FileExistsError:
            return False
        except OSError as error:
            raise self._unusable("commit to", error) from error
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def _append_by_deltalake(
        self, table: DeltaTable, parts: Sequence[Part], app_id: str, number: int, metadata: str
    ) -> int:
        """From the snapshot whose transactions were looked at: a fresh one would accept the same number again."""
        actions: list[AddAction | RemoveAction] = [
            AddAction(part.path, part.size, {}, part.modified, True, part.stats) for part in parts
        ]
        transactions = [Transaction(app_id, number)] if app_id else None
        properties = CommitProperties({"userMetadata": metadata}, app_transactions=transactions)
        before = self.version
        try:
            table.create_write_transaction(
                actions,
                "append",
                table.schema(),
                commit_properties=properties,
                post_commithook_properties=NO_HOOKS,
            )
        except CommitFailedError as error:
            self.refresh()
            self._assert_newer(app_id, number)
            raise self._unusable("commit to", error) from error
        except (DeltaError, OSError) as error:
            raise self._unusable("commit to", error) from error
        self.refresh()
        return next((e.version for e in self.entries(before) if e.metadata == metadata), self.version)

    def _versions(self, after: int) -> list[int]:
        """Log entries newer than a version, oldest first; the newest of them are found without a listing."""
        if self._fs is None and self.version - after <= 1000:
            return list(range(max(after + 1, 0), self.version + 1))
        if self._fs is None:
            names = os.listdir(self._folder)
        else:
            names = [info.base_name for info in self._fs.get_file_info(pa_fs.FileSelector("_delta_log"))]
        found = (int(match[1]) for name in names if (match := ENTRY.fullmatch(name)))
        return sorted(version for version in found if version > after)

    def _read(self, version: int) -> str | None:
        try:
            if self._fs is None:
                return (self._folder / f"{version:020}.json").read_text("utf-8")
            with self._fs.open_input_file(f"_delta_log/{version:020}.json") as file:
                return str(file.read(), "utf-8")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable("read", error) from error

    def _unusable(self, doing: str, error: Exception) -> StorageError:
        if isinstance(error, TableNotFoundError):
            return StorageError(f"no Delta table in {self.uri}; the stream makes it: streamscore run")
        first_line = str(error).partition("\n")[0]
        return StorageError(f"cannot {doing} the Delta table {self.uri}: {first_line}; look: streamscore doctor")


def _actions(parts: Sequence[Part], app_id: str, number: int, metadata: str, read: int) -> str:
    """The lines of a log entry, as Delta's protocol has them."""
    now = time.time_ns() // 1_000_000
    info: dict[str, Any] = {"timestamp": now, "operation": "WRITE"}
    info |= {"operationParameters": {"mode": "Append", "partitionBy": "[]"}, "readVersion": read}
    info |= {"isBlindAppend": True, "engineInfo": "streamscore", "userMetadata": metadata}
    lines: list[dict[str, Any]] = [{"commitInfo": info}]
    lines += [{"txn": {"appId": app_id, "version": number, "lastUpdated": now}}] if app_id else []
    for part in parts:
        add = {"path": part.path, "partitionValues": {}, "size": part.size, "modificationTime": part.modified}
        lines.append({"add": add | {"dataChange": True, "stats": part.stats}})
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)


def _lines(text: str, *kinds: str) -> Iterator[str]:
    """The lines of an entry that hold actions of these kinds."""
    starts = tuple(f'{{"{kind}":' for kind in kinds)
    return (line for line in text.split("\n") if line.startswith(starts))


def _last_checkpoint(folder: Path) -> int:
    """The version of the newest checkpoint, -1 if there is none."""
    try:
        return json.loads((folder / "_last_checkpoint").read_bytes())["version"]
    except (FileNotFoundError, ValueError, KeyError):
        return -1


@functools.cache
def _can_link(folder: Path) -> bool:
    """Whether the file system has hard links."""
    one, other = (folder / f"_commit_{uuid.uuid4()}.json.tmp" for _ in range(2))
    try:
        one.touch()
        os.link(one, other)
    except OSError:
        return False
    finally:
        one.unlink(missing_ok=True)
        other.unlink(missing_ok=True)
    return True


def _file_system(uri: str, storage_options: dict[str, str] | None) -> pa_fs.FileSystem | None:
    """None for a local folder."""
    return pa_fs.PyFileSystem(DeltaStorageHandler(uri, storage_options)) if "://" in uri else None
