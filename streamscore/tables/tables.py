"""The tables of a feed: made, opened, and held against the schemas that this version writes."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from deltalake import Schema
from deltalake.exceptions import DeltaError
from deltalake.schema import ArrayType, DataType, StructType

from schemas.errors import ContractError
from schemas.feed import Feed
from schemas.settings import Storage
from schemas.settings import Tables as TablesSettings
from schemas.tables import (
    BATCHES,
    BATCHES_SCHEMA,
    EVENTS,
    EVENTS_SCHEMA,
    FORECAST_TIME,
    PREDICTIONS,
    QUARANTINE,
    QUARANTINE_SCHEMA,
    forecast_type,
    scored_schema,
    scored_table,
)
from streamscore.storage.folder import Folder
from streamscore.storage.places import open_folder
from streamscore.tables.delta_log import NO_HOOKS, DeltaLog
from streamscore.tables.deltalake_log import DeltalakeLog
from streamscore.tables.log_entry import checkpoint_version, unusable
from streamscore.tables.make import is_table, make_table
from streamscore.tables.own_put_log import OwnPutLog
from streamscore.tables.owner import APP_IDS, Owner
from streamscore.tables.take_over import register, take_over
from streamscore.tables.torn import assert_whole, set_torn_aside

STAGING = "_staging"

SIDE_TABLES = {BATCHES: BATCHES_SCHEMA, EVENTS: EVENTS_SCHEMA}


class Tables:
    """The tables of one feed in one folder; predictions and quarantine are there once `create` was called.

    For one thread: `reopen` gives another thread its own.

    Attributes:
        path: the folder.
        storage: how the object store is reached.
        scored: name of the table of predictions; of a series feed, `forecasts`.
        folders: where parts of predictions and rejects are written before they are committed.
    """

    def __init__(self, path: Path | str, feed: Feed, settings: TablesSettings, storage: Storage | None = None) -> None:
        self.path, self.feed, self.settings, self.storage = str(path), feed, settings, storage or Storage()
        self.scored = scored_table(feed)
        self._logs: dict[str, DeltaLog] = {}

    def reopen(self) -> "Tables":
        """The same tables, to be opened anew."""
        return type(self)(self.path, self.feed, self.settings, self.storage)

    def uri(self, table: str) -> str:
        """Where a table is."""
        return f"{self.path.rstrip('/')}/{table}"

    @property
    def folders(self) -> tuple[str, str]:
        if self.settings.writer == "delta-rs":
            return self.uri(self.scored), self.uri(QUARANTINE)
        return self.uri(f"{STAGING}/{self.scored}"), self.uri(f"{STAGING}/{QUARANTINE}")

    @property
    def predictions(self) -> DeltaLog:
        """The table of predictions; of a series feed, the forecasts in their place.

        Raises:
            StorageError: there is none.
        """
        return self.log(self.scored)

    @property
    def quarantine(self) -> DeltaLog:
        """The table of rejects.

        Raises:
            StorageError: there is none.
        """
        return self.log(QUARANTINE)

    @property
    def batches(self) -> DeltaLog:
        """The table of committed batches, made when it is first asked for."""
        return self._side_table(BATCHES)

    @property
    def events(self) -> DeltaLog:
        """The table of events, made when it is first asked for."""
        return self._side_table(EVENTS)

    def exists(self, table: str) -> bool:
        """Whether a table is there."""
        return table in self._logs or is_table(self.uri(table), self.storage)

    @property
    def prediction_type(self) -> pa.DataType | None:
        """The type of the predictions so far; None where there is no table yet."""
        if not self.exists(self.scored):
            return None
        if self.feed.kind == "series":
            return forecast_type(self.feed)
        self._assert_ours()
        return self.predictions.schema.field("prediction").type

    def create(self, prediction: pa.DataType) -> None:
        """Make what is missing: folders, tables, and columns that the feed has got since.

        Raises:
            ContractError: the table there is another feed's, or has another type in a column or in the prediction, or
                asks more of a writer than ours does.
            StorageError: the tables cannot be made.
        """
        for table in (self.scored, QUARANTINE, *SIDE_TABLES):
            if self.exists(table):
                self.log(table).assert_writable()
        schema = scored_schema(self.feed, prediction)
        for table, wanted in ((self.scored, schema), (QUARANTINE, QUARANTINE_SCHEMA)):
            if self.exists(table):
                self._fit(table, wanted)
            else:
                make_table(self.uri(table), wanted, self.storage)
        for folder in self.folders:
            open_folder(folder, self.storage).make()

    def assert_whole(self) -> None:
        """Refuse tables whose newest commits a power cut tore; in an object store there are none.

        Raises:
            RecoveryError: names a table's log entry.
        """
        for table, folder, after in self._logs_on_disk():
            assert_whole(self.uri(table), folder, after)

    def set_torn_aside(self) -> list[str]:
        """Take the newest commits that a power cut tore out of the tables; their log entries, as `TABLE/…json`."""
        there = list(self._logs_on_disk())
        return [f"{table}/{name}" for table, folder, after in there for name in set_torn_aside(folder, after)]

    def _logs_on_disk(self) -> Iterator[tuple[str, Folder, int]]:
        """The name of each table in a local folder, its log, and the version of its checkpoint."""
        for table in (self.scored, QUARANTINE, *SIDE_TABLES):
            log = open_folder(self.uri(table), self.storage).at("_delta_log")
            if not log.is_remote:
                yield table, log, checkpoint_version(log)

    @property
    def owner(self) -> Owner | None:
        """The run that may commit to these tables, as they name it; None where there is none yet."""
        return Owner.of(self.predictions.properties) if self.exists(self.scored) else None

    def take_over(self, app_id: str, *, recover: bool) -> None:
        """Make this run the owner: from here on commits of these tables are its own, and of no other driver.

        Args:
            recover: whoever owns them; else only from an earlier run of the same checkpoint. What they say is done is
                told to the checkpoint by `processed_files`, after this.

        Raises:
            ConflictError: another checkpoint owns them, or another run was faster.
            StorageError: the tables cannot be changed.
        """
        take_over(self.predictions, self.quarantine, app_id, recover=recover)

    @property
    def app_ids(self) -> list[str]:
        """The checkpoints that the tables know."""
        return [app for app in self.predictions.properties.get(APP_IDS, "").split(",") if app]

    def register_checkpoint(self, app_id: str) -> None:
        """Note in the properties of predictions that this checkpoint writes it.

        Raises:
            ConflictError: another checkpoint owns them.
            StorageError: the property cannot be set.
        """
        register(self.predictions, app_id)

    def log(self, table: str) -> DeltaLog:
        """The log of a table that is there: our own puts where they are safe, else `deltalake`."""
        log = self._logs.get(table)
        if log is not None and log.fits:
            return log
        log = DeltalakeLog.instead_of(log) if log else OwnPutLog(self.uri(table), self.storage)
        log.replaces = table == QUARANTINE
        self._logs[table] = log
        return log

    def _side_table(self, table: str) -> DeltaLog:
        if not self.exists(table):
            make_table(self.uri(table), SIDE_TABLES[table], self.storage)
        return self.log(table)

    def _assert_ours(self) -> None:
        if "prediction" not in self.predictions.schema.names:
            msg = (
                f"{self.predictions.uri} has no column 'prediction', so it is not a table of "
                f"predictions; choose another folder: --tables DIR"
            )
            raise ContractError(msg)

    def _fit(self, table: str, wanted: pa.Schema) -> None:
        """Hold a table against the wanted columns; add those of the feed that it lacks."""
        log = self.log(table)
        if table == PREDICTIONS:
            self._assert_ours()
        there = {field.name: field.type for field in Schema.from_arrow(log.schema).fields}
        missing = []
        for field in Schema.from_arrow(wanted).fields:
            if field.name not in there:
                missing.append(field)
            elif there[field.name] != field.type:
                msg = (
                    f"{log.uri}: column '{field.name}' is {_named(there[field.name])}, feed {self.feed.name} "
                    f"and its model give {_named(field.type)}; change them back, or choose another folder: --tables DIR"
                )
                raise ContractError(msg)
        later = {*self.feed.arrow_schema.names, *forecast_type(self.feed).names, FORECAST_TIME}
        foreign = {field.name for field in missing} - later
        if foreign:
            msg = (
                f"{log.uri} lacks the columns {', '.join(sorted(foreign))}, so it is not a table of "
                f"streamscore; choose another folder: --tables DIR"
            )
            raise ContractError(msg)
        if missing:
            try:
                log.handle().alter.add_columns(missing, post_commithook_properties=NO_HOOKS)
            except (DeltaError, OSError) as error:
                raise unusable(log.uri, "change", error) from error
            log.refresh()


def _named(kind: DataType) -> str:
    """A type as SQL writes it."""
    if isinstance(kind, ArrayType):
        return f"array<{_named(kind.element_type)}>"
    if isinstance(kind, StructType):
        return f"struct<{', '.join(f'{field.name}: {_named(field.type)}' for field in kind.fields)}>"
    return str(kind.type)
