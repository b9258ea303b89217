"""A feed's table as one Arrow table, for anyone's script."""

import difflib
from collections.abc import Sequence

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from schemas.errors import SettingsError, StorageError
from schemas.feed import Feed, load_feed
from schemas.settings import Settings, Storage, load_settings
from schemas.tables import (
    ALERTS,
    BATCHES,
    DRIFT,
    DRIFT_PROFILES,
    EVENTS,
    PREDICTIONS,
    QUARANTINE,
    REQUESTS,
    SHADOWS,
    scored_table,
)
from streamscore.storage.object_store import assert_reachable, is_object_uri
from streamscore.storage.places import open_folder, place


def read_table(
    feed: Feed | str,
    table: str = PREDICTIONS,
    *,
    version: int | None = None,
    columns: Sequence[str] | None = None,
    settings: Settings | None = None,
) -> pa.Table:
    """The rows of one of a feed's tables, local or in an object store, in no order.

    The whole result is in memory: name the columns that you need. Arrow's own readers read the files. `deltalake`'s
    `to_pandas()` and `to_pyarrow_table()` read through Python code in Arrow's threads, and aborted some processes when
    the interpreter ended; this function never does.

    Args:
        feed: or its name.
        table: `predictions`, `quarantine`, `batches`, `events`, `requests`, `shadows`, `alerts`, `drift_profiles` or
            `drift`; a series feed has `forecasts` in place of `predictions`.
        version: of the table, as it was after that commit; the newest where none is given.
        columns: their names in the table, in the order that you want; all where none are given.
        settings: `tables.path` and `storage` say where the tables are; `load_settings()` where none are given.

    Returns:
        Columns and types of docs/tables.md; times are UTC with microseconds.

    Raises:
        FeedError: no such feed.
        SettingsError: no such table or column; names those that the feed has.
        StorageError: the table is not there yet, has no such version, or cannot be read.
    """
    feed = load_feed(feed) if isinstance(feed, str) else feed
    settings = settings or load_settings()
    uri = table_uri(feed, table, settings, "read_table")
    opened = _open(uri, feed.name, settings.storage, version)
    try:
        dataset = opened.to_pyarrow_dataset(filesystem=open_folder(uri, settings.storage).arrow_files())
        _assert_there(columns or (), dataset.schema.names, uri)
        return dataset.to_table(columns=None if columns is None else list(columns))
    except (DeltaError, pa.ArrowException, OSError) as error:
        msg = f"{uri} cannot be read: {_line(error)}; look: streamscore doctor {feed.name}"
        raise StorageError(msg) from error


def table_uri(feed: Feed, table: str, settings: Settings, function: str) -> str:
    """Where one of a feed's tables is, or will be.

    Args:
        function: who asks; for the message.

    Raises:
        SettingsError: the feed has no such table; names those that it has.
    """
    known = [scored_table(feed), QUARANTINE, BATCHES, EVENTS, REQUESTS, SHADOWS, DRIFT_PROFILES, DRIFT, ALERTS]
    if table not in known:
        msg = (
            f"feed {feed.name} has no table '{table}', wanted one of {', '.join(known)}; "
            f"next: {function}('{feed.name}', '{_nearest(table, known)}')"
        )
        raise SettingsError(msg)
    return f"{place(settings.tables.path, feed.name)}/{table}"


def _open(uri: str, feed: str, storage: Storage, version: int | None) -> DeltaTable:
    if is_object_uri(uri):
        assert_reachable(storage, uri, f"--tables {uri}")  # deltalake tries a bad endpoint for minutes
    options = open_folder(uri, storage).delta_options()
    try:
        if not DeltaTable.is_deltatable(uri, options):
            command = "serve" if uri.endswith(f"/{REQUESTS}") else f"run {feed}"
            msg = f"no table at {uri} yet; make it: streamscore {command}"
            raise StorageError(msg)
        opened = DeltaTable(uri, storage_options=options)
        if version is not None and not 0 <= version <= opened.version():
            msg = (
                f"{uri} has no version {version}, its newest is {opened.version()}; "
                f"next: read_table('{feed}', version={opened.version()}), or leave out the version"
            )
            raise StorageError(msg)
        if version is not None:
            opened.load_as_version(version)
        return opened
    except (DeltaError, OSError) as error:
        kept = "" if version is None else f" at version {version}, which maintenance may have removed"
        msg = f"{uri} cannot be opened{kept}: {_line(error)}; look: streamscore status {feed}"
        raise StorageError(msg) from error


def _assert_there(wanted: Sequence[str], there: Sequence[str], uri: str) -> None:
    for name in wanted:
        if name not in there:
            msg = (
                f"{uri} has no column '{name}', did you mean '{_nearest(name, there)}'? It has {', '.join(there)}; "
                f"give columns=[…] of these"
            )
            raise SettingsError(msg)


def _nearest(name: str, known: Sequence[str]) -> str:
    return (difflib.get_close_matches(name, known, 1, 0) or [known[0]])[0]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
