"""The observations of a feed's tables, as they would have come: what rules say of the past."""

import heapq
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby

import pyarrow as pa
import structlog

from jobs.monitoring.alerts.measure import table_of
from jobs.monitoring.alerts.observation import STATUS, Observation, Tick
from schemas.alerts import AnyRule
from schemas.feed import Feed
from schemas.settings import Settings
from schemas.tables import PREDICTIONS, scored_table
from streamscore.following.change import Change
from streamscore.following.follow_table import open_follower

log = structlog.get_logger()


def history(
    feed: Feed, rules: Sequence[AnyRule], settings: Settings, first: datetime | None, last: datetime | None
) -> Iterator[Observation | Tick]:
    """What was committed from `first` to `last`, oldest first, and at the end that this was all.

    What is in no table, as the number of files that wait, is not in it.

    Raises:
        SettingsError: a rule is about a table that the feed has not.
        StorageError: a table cannot be read.
    """
    tables = sorted({table_of(rule) for rule in rules if not rule.feeds or feed.name in rule.feeds} - {STATUS})
    newest = first
    if first:
        yield Tick(feed.name, first)
    for seen in heapq.merge(*(_commits(feed, table, settings) for table in tables), key=lambda seen: seen.at):
        if (first is None or seen.at >= first) and (last is None or seen.at <= last):
            yield seen
            newest = seen.at
    if end := last or newest:
        yield Tick(feed.name, end)


def _commits(feed: Feed, table: str, settings: Settings) -> Iterator[Observation]:
    """A commit each, however many files it has."""
    name = scored_table(feed) if table == PREDICTIONS else table
    follower = open_follower(feed, name, 0, settings)
    for version, changes in groupby(_changes(follower.poll()), key=lambda change: change.version):
        of_commit = list(changes)
        at = of_commit[0].at
        assert at is not None
        yield Observation(feed.name, table, version, at, pa.concat_tables([change.rows for change in of_commit]))


def _changes(changes: Iterator[Change]) -> Iterator[Change]:
    for change in changes:
        if change.gap:
            log.warning("gap", reason=change.gap.reason, detail=str(change.gap))
        else:
            yield change
