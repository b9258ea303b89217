"""The observations of a feed's tables, as they would have come: what rules say of the past."""

import heapq
from collections.abc import Iterator, Sequence
from datetime import datetime

from jobs.monitoring.alerts.commits import commits
from jobs.monitoring.alerts.observation import Observation, Tick, table_name, tables_of
from schemas.alerts import AnyRule
from schemas.feed import Feed
from schemas.settings import Settings
from streamscore.following.follow_table import open_follower


def history(
    feed: Feed, rules: Sequence[AnyRule], settings: Settings, first: datetime | None, last: datetime | None
) -> Iterator[Observation | Tick]:
    """What was committed from `first` to `last`, oldest first, and at the end that this was all.

    What is in no table, as the number of files that wait, is not in it.

    Raises:
        SettingsError: a rule is about a table that the feed has not.
        StorageError: a table cannot be read.
    """
    newest = first
    if first:
        yield Tick(feed.name, first)
    for seen in heapq.merge(
        *(_commits(feed, table, settings) for table in tables_of(rules, feed.name)), key=lambda seen: seen.at
    ):
        if (first is None or seen.at >= first) and (last is None or seen.at <= last):
            yield seen
            newest = seen.at
    if end := last or newest:
        yield Tick(feed.name, end)


def _commits(feed: Feed, table: str, settings: Settings) -> Iterator[Observation]:
    follower = open_follower(feed, table_name(feed, table), 0, settings)
    return (seen for seen, _ in commits(follower, feed.name, table) if seen is not None)
