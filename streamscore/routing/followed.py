"""The table of routes as it is now: read again when it changes; with the last good one while it cannot be read."""

from pathlib import Path
from typing import Protocol

import structlog

from schemas.errors import StreamscoreError
from schemas.settings import Routing
from streamscore.routing.database import RoutesDatabase
from streamscore.routing.file import RoutesFile
from streamscore.routing.routes import Route, RouteTable

log = structlog.get_logger()

DEFAULT = Routing.model_fields["routes"].default


class RouteSource(Protocol):
    """Where a table of routes is."""

    place: str

    def read(self, known: RouteTable | None) -> RouteTable:
        """The table as it is now: `known` itself if nothing has changed since it was read."""


class FollowedRoutes:
    """A `ModelInfoRepository` that changes; `table` is replaced as a whole, so that any thread may read it."""

    def __init__(self, source: RouteSource | None) -> None:
        """Read the table.

        Args:
            source: None: there are no routes.

        Raises:
            StreamscoreError: the table is wrong, or cannot be read.
        """
        self._source, self._trouble = source, ""
        self.table = source.read(None) if source else RouteTable("")

    def find(self, key: str) -> Route | None:
        """The route of a key."""
        return self.table.find(key)

    def look(self) -> None:
        """Read the table again if it has changed; one that is wrong or not there changes nothing, and is told once."""
        if self._source is None:
            return
        try:
            table = self._source.read(self.table)
        except StreamscoreError as error:
            detail = str(error).splitlines()[0]
            if detail != self._trouble:
                log.warning("routes_refused", version=self.table.version, detail=detail)
            self._trouble = detail
            return
        self._trouble = ""
        if table is not self.table:
            log.info("routes_changed", before=self.table.version, version=table.version)
            self.table = table


def open_routes(settings: Routing) -> FollowedRoutes:
    """The routes of the settings; none if they name no other place than the default, and no file is there.

    Raises:
        StreamscoreError: the table is wrong, or cannot be read.
    """
    source = source_of(settings.routes)
    if isinstance(source, RoutesFile) and settings.routes == DEFAULT and not source.exists():
        return FollowedRoutes(None)
    return FollowedRoutes(source)


def source_of(routes: str) -> RoutesFile | RoutesDatabase:
    """The place of a table.

    Raises:
        SettingsError: a URL that no database can have.
    """
    return RoutesDatabase(routes) if "://" in routes else RoutesFile(Path(routes))
