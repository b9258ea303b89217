"""What a rule sees: the rows of a commit, or only that time went by."""

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

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
