"""A stream seen from outside: its folders, tables, ledger and landed files, only read, and without Spark."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from schemas.feed import Feed
from schemas.settings import Settings, Storage
from schemas.tables import PREDICTIONS, scored_table
from streamscore.landing.ledger import NAME as LEDGER
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.storage.folder import Folder
from streamscore.storage.object_store import assert_reachable, delta_options, is_object_uri
from streamscore.storage.places import open_folder, place
from streamscore.tables.batch import BatchRecord

if TYPE_CHECKING:  # 0.1 s
    from deltalake import DeltaTable


@dataclass(frozen=True, slots=True)
class Places:
    """Where a feed's stream lives, there or not.

    Attributes:
        tables: an absolute path or `s3://…`.
        storage: how the object store is reached.
        scored: name of the table whose commits decide the micro-batches.
    """

    landing: Folder
    tables: str
    checkpoint: Folder
    storage: Storage
    scored: str = PREDICTIONS

    @classmethod
    def of(cls, feed: Feed, settings: Settings) -> Self:
        """Those of the settings.

        Raises:
            SettingsError: one is neither a path nor `s3://…`.
        """
        landing, tables, checkpoint = (
            place(given, feed.name) for given in (settings.landing, settings.tables.path, settings.checkpoint)
        )
        storage = settings.storage
        return cls(open_folder(landing, storage), tables, open_folder(checkpoint, storage), storage, scored_table(feed))

    @property
    def uris(self) -> dict[str, str]:
        """The setting's flag → its place."""
        return {"--landing": self.landing.uri, "--tables": self.tables, "--checkpoint": self.checkpoint.uri}

    def table(self, name: str) -> str:
        """Where a table is."""
        return f"{self.tables.rstrip('/')}/{name}"

    def assert_reachable(self) -> None:
        """Ask the object store for what is in it, before `deltalake` does, which tries a bad endpoint for minutes.

        Raises:
            StorageError: it does not answer, or says no; names the setting.
        """
        for flag, uri in self.uris.items():
            if is_object_uri(uri):
                assert_reachable(self.storage, uri, f"{flag} {uri}")


def open_table(places: Places, name: str) -> "DeltaTable | None":
    """A Delta table; None if there is none."""
    from deltalake import DeltaTable

    uri = places.table(name)
    options = delta_options(places.storage) if is_object_uri(uri) else None
    return DeltaTable(uri, storage_options=options) if DeltaTable.is_deltatable(uri, options) else None


def query(table: "DeltaTable", sql: str) -> list[dict[str, Any]]:
    """The rows of a SELECT from `t`, for few rows: without pandas, which pyarrow imports for a time: 0.9 s."""
    from deltalake import QueryBuilder

    rows = QueryBuilder().register("t", table).execute(sql).read_all().to_struct_array()
    return [rows[i].as_py() for i in range(len(rows))]


def select(table: "DeltaTable", sql: str) -> pa.Table:
    """The rows of a SELECT from `t`, for many."""
    from deltalake import QueryBuilder

    return pa.RecordBatchReader.from_stream(QueryBuilder().register("t", table).execute(sql)).read_all()


def quoted(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def records_after(places: Places, version: int) -> Iterator[BatchRecord]:
    """What the commits of predictions, or forecasts, after a version say of their micro-batches, newest first."""
    table = open_table(places, places.scored)
    newer = table.version() - version if table is not None else 0
    for commit in table.history(newer) if table is not None and newer > 0 else ():
        record = BatchRecord.from_json(commit.get("userMetadata"), commit["version"], commit.get("timestamp", 0))
        if record is not None and commit["version"] > version:
            yield record


def files_in_ledger(checkpoint: Folder) -> Iterator[LandedFile]:
    """Every file whose micro-batch is done, but those of the newest; in the order in which they were found.

    A line that is damaged is passed over.
    """
    for line in checkpoint.open_journal(LEDGER).lines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            yield from BatchManifest.from_offset(json.loads(line)).files


def files_planned(checkpoint: Folder) -> Iterator[LandedFile]:
    """The files of the micro-batches that Spark's offset log still has, oldest first; done or not."""
    for number in sorted(int(name) for name in checkpoint.names("offsets") if name.isdigit()):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, IndexError):
            yield from BatchManifest.from_log(checkpoint.read(f"offsets/{number}") or b"").files
