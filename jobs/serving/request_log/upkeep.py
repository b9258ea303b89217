"""Maintenance of the tables that requests are logged in, as of any other: in processes of its own."""

import structlog

from jobs.maintenance.maintain import Task, feed_or_service
from jobs.maintenance.schedule import MaintenanceScheduler
from schemas.errors import StreamscoreError
from schemas.settings import Settings

log = structlog.get_logger()


class Upkeep:
    """Rounds of maintenance, by the feed. For one thread.

    A stream of the feed does the same; of two at once, one leaves it to the other.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rounds: dict[str, MaintenanceScheduler | None] = {}

    def committed(self, feed: str) -> None:
        """Something was committed to the table of a feed."""
        if feed not in self._rounds:
            self._rounds[feed] = self._scheduler(feed)
        if rounds := self._rounds[feed]:
            rounds.committed()

    def look(self) -> None:
        """Start a round of each table whose time has come."""
        for rounds in filter(None, self._rounds.values()):
            rounds.look()

    def stop(self) -> None:
        """End the rounds that are at work."""
        for rounds in filter(None, self._rounds.values()):
            rounds.stop()

    def _scheduler(self, name: str) -> MaintenanceScheduler | None:
        try:
            return MaintenanceScheduler(Task.of(feed_or_service(name), self._settings))
        except StreamscoreError as error:
            log.warning("maintenance", feed=name, outcome="failed", error=str(error).splitlines()[0])
            return None
