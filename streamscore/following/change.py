"""What comes to somebody who follows a table: the new rows of a commit, or word of commits that cannot be read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import pyarrow as pa

from streamscore.following.cursor import Cursor

_SAID = {
    "cleaned_up": "the log has no entry of {versions} any more",
    "vacuumed": "files of {versions} were deleted",
    "overwritten": "{versions} was overwritten by another writer, and is read again; rows may come twice",
    "went_back": "{versions} of the table are gone, an earlier state of it was put back; its next commits are read",
    "made_anew": "the table was made anew, and is read from its begin; of the one before nothing is known from "
    "{versions} on",
}


@dataclass(frozen=True, slots=True)
class Gap:
    """Commits that cannot be read as they were made.

    Attributes:
        reason: `cleaned_up`, `vacuumed`, `overwritten`, `went_back` or `made_anew`.
        first, last: their versions.
        bridged: those of them that are micro-batches whose rows come next, as the table has them now. Of the others
            nothing is known: they may have added rows, or none.
    """

    reason: Literal["cleaned_up", "vacuumed", "overwritten", "went_back", "made_anew"]
    first: int
    last: int
    bridged: tuple[int, ...] = ()

    def __str__(self) -> str:
        versions = f"version {self.first}" if self.first == self.last else f"versions {self.first} to {self.last}"
        said = _SAID[self.reason].format(versions=versions)
        if self.reason not in ("cleaned_up", "vacuumed"):
            return said
        lost = self.last - self.first + 1 - len(self.bridged)
        read = f"{len(self.bridged)} of them come from the table as it is now" if self.bridged else "none can be read"
        return f"{said}: {read}" + (f", of {lost} nothing is known" if self.bridged and lost else "")


@dataclass(frozen=True, slots=True)
class Change:
    """New rows of a table, all of one commit; a commit of several files comes as several changes.

    Attributes:
        version: of the commit; of a gap, the last one in it.
        at: when it was committed, UTC; None of a gap.
        rows: the table's columns, those that it got since as well; none where there is a gap.
        cursor: what to store once these rows are done with.
        gap: why some commits are not here.
    """

    version: int
    at: datetime | None
    rows: pa.Table
    cursor: Cursor
    gap: Gap | None = None
