"""The new rows of a feed's table, commit by commit, for anyone's script."""

import time
from collections.abc import Iterator

from schemas.errors import StorageError
from schemas.feed import Feed, load_feed
from schemas.settings import Settings, load_settings
from schemas.tables import BATCHES, PREDICTIONS, scored_table
from streamscore.following.change import Change
from streamscore.following.cursor import Cursor
from streamscore.following.follower import TableFollower
from streamscore.storage.object_store import assert_reachable, is_object_uri
from streamscore.storage.places import place
from streamscore.tables.read_table import table_uri

LOCAL_SECONDS, REMOTE_SECONDS = 0.05, 0.5  # between two looks


def follow_table(
    feed: Feed | str,
    table: str = PREDICTIONS,
    *,
    start: Cursor | int | None = None,
    wait: bool = True,
    settings: Settings | None = None,
) -> Iterator[Change]:
    """The rows that come into one of a feed's tables, local or in an object store, in the order of their commits.

    Each row comes once, however often maintenance moves it to another file; a row that somebody changes comes again.
    A change whose `gap` is not None has no rows, and says which commits cannot be read as they were made. Nothing is
    written, and no writer waits. Store the `cursor` of a change once you are done with its rows, and give it as
    `start` the next time.

    Args:
        feed: or its name.
        table: `predictions`, `quarantine`, `batches`, `events`, `requests`, `alerts`, `drift_profiles` or `drift`; a
            series feed has `forecasts` in place of `predictions`.
        start: the cursor of the last change that was done, or the version of a commit, 0 for all; what is committed
            from now on where none is given.
        wait: for more, and for the table if it is not there yet; else it ends where there is no more.
        settings: `tables.path` and `storage` say where the tables are; `load_settings()` where none are given.

    Returns:
        Changes: `rows` is a `pyarrow.Table` with the columns of docs/tables.md, `at` the time of the commit, UTC.

    Raises:
        FeedError: no such feed.
        SettingsError: no such table; or no such version, once the first change is asked for.
        ContractError: the table asks more of a reader than ours does, such as deletion vectors.
        StorageError: the table cannot be read, or, without `wait`, is not there yet. The last cursor holds.
    """
    follower = open_follower(feed, table, start, settings)
    name = feed if isinstance(feed, str) else feed.name
    return _waiting(follower) if wait else _there_is(follower, name)


def open_follower(
    feed: Feed | str, table: str = PREDICTIONS, start: Cursor | int | None = None, settings: Settings | None = None
) -> TableFollower:
    """The follower of one of a feed's tables, which asks for nothing yet; arguments and errors as in `follow_table`."""
    feed = load_feed(feed) if isinstance(feed, str) else feed
    settings = settings or load_settings()
    uri = table_uri(feed, table, settings, "follow_table")
    if is_object_uri(uri):
        assert_reachable(settings.storage, uri, f"--tables {uri}")  # deltalake tries a bad endpoint for minutes
    batches = f"{place(settings.tables.path, feed.name)}/{BATCHES}" if table == scored_table(feed) else ""
    return TableFollower(uri, settings.storage, start, batches=batches)


def _waiting(follower: TableFollower) -> Iterator[Change]:
    while True:
        yield from follower.poll()
        time.sleep(pause_of(follower))


def _there_is(follower: TableFollower, feed: str) -> Iterator[Change]:
    yield from follower.poll()
    if not follower.is_there:
        msg = f"no table at {follower.uri} yet; make it: streamscore run {feed}"
        raise StorageError(msg)


def pause_of(follower: TableFollower) -> float:
    """Seconds between two looks."""
    return REMOTE_SECONDS if follower.is_remote else LOCAL_SECONDS
