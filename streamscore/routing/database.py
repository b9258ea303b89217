"""The table of routes in a SQL database: each change makes a version, and every version can still be read.

A route holds from the version `added` until before the version `removed`. A version is a row of
`streamscore_route_versions`, which its writer inserts in one transaction with the changed routes: two writers at once
want the same number, and the second one fails.
"""

import contextlib
import getpass
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sql
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from schemas.errors import SettingsError, StorageError, TryAgainError
from streamscore.routing.routes import Route, RouteTable, table_of

_METADATA = sql.MetaData()
_ROUTES = sql.Table(
    "streamscore_routes",
    _METADATA,
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("kind", sql.String(10), nullable=False),  # key, pattern or default
    sql.Column("key", sql.Text, nullable=False),  # or the pattern; empty of the default
    sql.Column("position", sql.Integer, nullable=False),  # of a pattern among them
    sql.Column("route", sql.Text, nullable=False),  # JSON: model, canary, shadow
    sql.Column("added", sql.Integer, nullable=False),
    sql.Column("removed", sql.Integer),
)
_VERSIONS = sql.Table(
    "streamscore_route_versions",
    _METADATA,
    sql.Column("version", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("at", sql.DateTime(timezone=True), nullable=False),
    sql.Column("by", sql.Text, nullable=False),
)
Entry = tuple[str, str, int, str]  # kind, key, position, route


class RoutesDatabase:
    """A database by its SQLAlchemy URL; the tables are made by the first `write`."""

    def __init__(self, url: str) -> None:
        """Ask nothing yet.

        Raises:
            SettingsError: it is no such URL, or its driver is not installed.
        """
        try:
            self._engine = sql.create_engine(url, pool_pre_ping=True)
            self.place = self._engine.url.render_as_string(hide_password=True)
        except (ArgumentError, ImportError) as error:
            msg = f"routing.routes is no URL of a database that can be used: {error}".splitlines()[0]
            raise SettingsError(msg) from error

    def read(self, known: RouteTable | None, version: int | None = None) -> RouteTable:
        """The table as it is now: `known` itself if nothing has changed since it was read.

        Of a table that is known only the changed routes are read.

        Args:
            known: what this database gave before.
            version: the table as it was at that version.

        Raises:
            StorageError: the database does not answer, or has no such tables.
            SettingsError: a route there is wrong.
        """
        with self._answering() as connection:
            newest = connection.scalar(sql.select(sql.func.max(_VERSIONS.c.version))) or 0
            version = newest if version is None else version
            where = f"{self.place} version {version}"
            if known is None:
                return _table(_entries(connection, version), where, str(version))
            if known.version == str(version):
                return known
            return _changed(known, _changes(connection, int(known.version), version), where, str(version))

    def write(self, table: RouteTable) -> str:
        """Make the table what another one says, as one version; what stays as it was is not touched.

        Returns:
            The newest version: the one before if nothing changes.

        Raises:
            StorageError: the database does not answer.
            TryAgainError: somebody else wrote a version meanwhile.
        """
        wanted = set(_entries_of(table))
        try:
            with self._answering() as connection:
                _METADATA.create_all(connection)
                newest = connection.scalar(sql.select(sql.func.max(_VERSIONS.c.version))) or 0
                there = {entry: number for number, entry in _entries(connection, newest).items()}
                if newest and wanted == set(there):
                    return str(newest)
                version = {"version": newest + 1, "at": datetime.now(UTC), "by": getpass.getuser()}
                connection.execute(_VERSIONS.insert(), version)
                _remove(connection, [there[entry] for entry in set(there) - wanted], newest + 1)
                _add(connection, sorted(wanted - set(there)), newest + 1)
        except IntegrityError as error:
            msg = f"another writer changed the routes in {self.place} meanwhile; look at them, and try again"
            raise TryAgainError(msg) from error
        return str(newest + 1)

    @contextlib.contextmanager
    def _answering(self) -> Iterator[sql.Connection]:
        """One transaction."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            msg = f"routes in {self.place} cannot be read: {said}; if no tables are there: streamscore routes push FILE"
            raise StorageError(msg) from error


def _entries(connection: sql.Connection, version: int) -> dict[int, Entry]:
    holds = (_ROUTES.c.added <= version) & (_ROUTES.c.removed.is_(None) | (_ROUTES.c.removed > version))
    rows = connection.execute(_ROUTES.select().where(holds).order_by(_ROUTES.c.position, _ROUTES.c.id))
    return {row.id: (row.kind, row.key, row.position, row.route) for row in rows}


def _changes(connection: sql.Connection, since: int, version: int) -> dict[int, tuple[Entry, bool]]:
    """The keys whose route is another one than at the version `since`, and all other routes; and whether each holds."""
    touched = (_ROUTES.c.added > since) | (_ROUTES.c.removed > since)
    wanted = (_ROUTES.c.kind != "key") | touched
    rows = connection.execute(_ROUTES.select().where(wanted).order_by(_ROUTES.c.position, _ROUTES.c.id))
    return {
        row.id: (
            (row.kind, row.key, row.position, row.route),
            row.added <= version and (row.removed is None or row.removed > version),
        )
        for row in rows
    }


def _changed(known: RouteTable, changes: dict[int, tuple[Entry, bool]], where: str, version: str) -> RouteTable:
    """A table with some of its routes changed."""
    changed = _table({number: entry for number, (entry, holds) in changes.items() if holds}, where, version)
    gone = {entry[1] for entry, holds in changes.values() if entry[0] == "key" and not holds} - changed.keys.keys()
    keys = {key: route for key, route in known.keys.items() if key not in gone} | dict(changed.keys)
    return replace(changed, keys=keys)


def _table(entries: dict[int, Entry], where: str, version: str) -> RouteTable:
    said: dict[str, Any] = {"keys": {}, "patterns": {}}
    try:
        for kind, key, _, route in entries.values():
            if kind == "default":
                said["default"] = json.loads(route)
            else:
                said[f"{kind}s"][key] = json.loads(route)
    except (ValueError, KeyError) as error:
        msg = (
            f"{where}: a route is not what streamscore writes: {error!r:.200}; write it again: streamscore routes push"
        )
        raise SettingsError(msg) from error
    return table_of(said, where, version)


def _entries_of(table: RouteTable) -> Iterator[Entry]:
    def entry(kind: str, key: str, position: int, route: Route) -> Entry:
        return kind, key, position, json.dumps(route.to_json(), sort_keys=True)

    yield from (entry("key", key, 0, route) for key, route in table.keys.items())
    yield from (entry("pattern", key, at, route) for at, (key, route) in enumerate(table.patterns.items(), 1))
    if table.default:
        yield entry("default", "", 0, table.default)


def _add(connection: sql.Connection, entries: list[Entry], version: int) -> None:
    rows = [
        {"kind": kind, "key": key, "position": position, "route": route, "added": version}
        for kind, key, position, route in entries
    ]
    if rows:
        connection.execute(_ROUTES.insert(), rows)


def _remove(connection: sql.Connection, numbers: list[int], version: int) -> None:
    if numbers:
        one = _ROUTES.update().where(_ROUTES.c.id == sql.bindparam("number")).values(removed=version)
        connection.execute(one, [{"number": number} for number in numbers])
