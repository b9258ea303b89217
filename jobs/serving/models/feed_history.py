"""The newest observations of a feed's series, as its `forecasts` table has them."""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.serving.models.served_series import ServedSeries, Windows
from jobs.serving.requests.problems import RequestError
from schemas.errors import StorageError, StreamscoreError
from schemas.feed import Feed, feed_names, load_feed
from schemas.settings import Settings
from schemas.value_text import parse
from streamscore.forecasting.history import History, Key, read_history
from streamscore.registry.model_uri import model_name
from streamscore.registry.model_version import ModelVersion
from streamscore.storage.places import place
from streamscore.tables.tables import Tables


@dataclass(slots=True)
class _Known:
    """What was read last of a feed's table: `history` is that of `version`."""

    tables: Tables
    version: int
    history: History


class FeedHistories:
    """What was observed, by feed; a table is read again only after a commit that changed its rows."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[str, _Known] = {}
        self._feeds: dict[str, tuple[ModelVersion, Feed]] = {}  # as they were when the version was first asked
        self._lock = threading.Lock()  # tables are for one thread

    async def windows(self, feed: str, served: ServedSeries, key: Mapping[str, Any] | None) -> Windows:
        """The newest windows of a feed that the model forecasts.

        Args:
            key: of one series: the values of its key columns; None: of all.

        Raises:
            RequestError: no such feed, table or series (404), not a feed of this model (400), or no answer of the
                storage (503).
        """
        return await asyncio.to_thread(self._windows, feed, served, key)

    def _windows(self, name: str, served: ServedSeries, key: Mapping[str, Any] | None) -> Windows:
        try:
            with self._lock:
                feed = self._feed(name, served)
                history = self._history(feed, served.model.window_rows)
        except StorageError as error:
            raise RequestError(
                503, f"the tables of feed {name} cannot be read", headers={"Retry-After": "1"}
            ) from error
        if key is None:
            return Windows(feed, history.windows)
        wanted = key_of(key, feed)
        if (window := history.windows.get(wanted)) is None:
            raise RequestError(404, f"feed {name} has no observation of the series {dict(key)}")
        return Windows(feed, {wanted: window})

    def _feed(self, name: str, served: ServedSeries) -> Feed:
        version, feed = self._feeds.get(name, (None, None))
        if feed is None or version != served.model.identity:  # to read its file takes ten times as long as all else
            feed = _feed(name, served)
            self._feeds[name] = served.model.identity, feed
        return feed

    def _history(self, feed: Feed, window_rows: int) -> History:
        known = self._known.get(feed.name)
        settings = self._settings
        if known is None:
            tables = Tables(place(settings.tables.path, feed.name), feed, settings.tables, settings.storage)
            if not tables.exists(tables.scored):
                raise RequestError(404, f"feed {feed.name} has no table of forecasts yet")
            known = _Known(tables, -1, History(0, {}))
        log = known.tables.predictions
        log.refresh()
        if known.history.window_rows != window_rows or not log.only_rearranged(known.version, log.version + 1):
            known.history = read_history(log, feed, window_rows)
        known.version = log.version
        self._known[feed.name] = known
        return known.history


def key_of(given: Mapping[str, Any], feed: Feed) -> Key:
    """The key of a series by the values of its columns.

    Raises:
        RequestError: a column is missing or too much, or a value is not of its type.
    """
    names = [column.name for column in feed.keys]
    if sorted(given) != sorted(names):
        raise RequestError(400, f"key has {', '.join(given) or 'nothing'}, wanted {', '.join(names) or 'none'}")
    found = []
    for column in feed.keys:
        value = given[column.name]
        try:
            found.append(None if value is None else parse(str(value), column.type))
        except ValueError as error:
            raise RequestError(400, f"key: '{column.name}': {error}") from error
    return tuple(found)


def _feed(name: str, served: ServedSeries) -> Feed:
    """A feed whose files the model forecasts."""
    if name not in feed_names():
        raise RequestError(404, f"no feed '{name[:100]}'")
    try:
        feed = load_feed(name)
    except StreamscoreError as error:
        raise RequestError(409, f"the file of feed {name} is wrong; look: streamscore doctor {name}") from error
    model, own = served.model.name, served.inputs.feed
    if feed.kind != "series" or model_name(feed.model_uri) != model:
        raise RequestError(400, f"feed {name} is not forecast by model {model}")
    if _columns(feed) != _columns(own):
        raise RequestError(400, f"feed {name} has its columns in another order than feed {own.name}; make them one")
    return feed


def _columns(feed: Feed) -> list[list[str]]:
    return [[column.name for column in columns] for columns in (feed.keys, feed.features, feed.exogenous)]
