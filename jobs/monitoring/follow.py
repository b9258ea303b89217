"""`streamscore follow`: the new rows of a table, printed as they come."""

import time
from typing import BinaryIO

import structlog

from jobs.monitoring.cursor_file import CursorFile
from jobs.monitoring.json_lines import json_lines
from schemas.errors import StorageError
from streamscore.following.change import Change
from streamscore.following.cursor import Cursor
from streamscore.following.follow_table import pause_of
from streamscore.following.follower import TableFollower

log = structlog.get_logger()

RETRY_SECONDS = 2.0


class RowPrinter:
    """Prints what a follower finds, and remembers how far it got.

    Storage that fails is said once, and tried again. What cannot be read is said in the log.
    """

    def __init__(self, follower: TableFollower, out: BinaryIO, cursor_file: CursorFile | None = None) -> None:
        self._follower, self._out, self._cursor_file = follower, out, cursor_file
        self._done: Cursor | None = None
        self._said = ""

    def print_new(self) -> None:
        """Print what is new now.

        Raises:
            StorageError: the table cannot be read.
        """
        for change in self._follower.poll():
            self._print(change)
            self._done = change.cursor
            self._save()
        self._done = self._follower.cursor  # past commits without rows
        self._save(now=True)

    def run(self) -> None:
        """Print what is new until somebody interrupts it."""
        try:
            while True:
                time.sleep(self._look())
        finally:
            self._save(now=True)

    def _look(self) -> float:
        """Gives the seconds until the next look."""
        try:
            self.print_new()
        except StorageError as error:
            if not error.can_retry:
                raise
            self._say("storage failed, trying again", error=str(error))
            return RETRY_SECONDS
        if self._follower.is_there:
            self._said = ""
        else:
            self._say("no table yet, waiting", table=self._follower.uri)
        return pause_of(self._follower)

    def _say(self, event: str, **entries: str) -> None:
        if self._said != event:
            log.warning(event, **entries)
        self._said = event

    def _print(self, change: Change) -> None:
        if change.gap:
            log.warning("gap", reason=change.gap.reason, table=self._follower.uri, detail=str(change.gap))
        self._out.writelines(f"{line}\n".encode() for line in json_lines(change.rows))
        self._out.flush()

    def _save(self, *, now: bool = False) -> None:
        if self._cursor_file:
            self._cursor_file.write(self._done, now=now)
