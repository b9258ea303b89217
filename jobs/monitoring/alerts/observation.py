"""What a rule sees: the rows of a commit, or only that time went by."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from schemas.alerts import AnyRule, EventRule, RejectRatioRule, WaitingFilesRule
from schemas.feed import Feed
from schemas.tables import BATCHES, EVENTS, PREDICTIONS, scored_table

STATUS = "status"  # stands for a table: what is looked up, and is in no table


@dataclass(frozen=True, slots=True)
class Observation:
    """New rows of a commit, or of a part of it.

    Attributes:
        table: `predictions` stands for forecasts as well; `status` has one row, with the column `files_waiting`.
        version: of the table.
        at: when it was committed, UTC.
    """

    feed: str
    table: str
    version: int
    at: datetime
    rows: pa.Table


@dataclass(frozen=True, slots=True)
class Tick:
    """By now, all that was committed before `at` was observed."""

    feed: str
    at: datetime


def table_of(rule: AnyRule) -> str:
    """The table whose commits a rule is about."""
    match rule:
        case RejectRatioRule():
            return BATCHES
        case EventRule():
            return EVENTS
        case WaitingFilesRule():
            return STATUS
    return rule.table


def tables_of(rules: Iterable[AnyRule], feed: str) -> list[str]:
    """The tables that rules of a feed are about."""
    return sorted({table_of(rule) for rule in rules if not rule.feeds or feed in rule.feeds} - {STATUS})


def table_name(feed: Feed, table: str) -> str:
    """What a table of rules is called among the tables of a feed."""
    return scored_table(feed) if table == PREDICTIONS else table
