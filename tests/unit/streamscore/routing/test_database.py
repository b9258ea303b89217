"""The table of routes in a SQL database."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql

from schemas.errors import SettingsError, StorageError, TryAgainError
from streamscore.routing import database
from streamscore.routing.database import RoutesDatabase
from streamscore.routing.routes import table_of

FIRST = table_of({"keys": {"a": "m", "b": None}, "patterns": {"x*": "m", "*y": "n"}, "default": "d"}, "first")
SECOND = table_of({"keys": {"a": "m", "c": "m"}, "patterns": {"*y": "n", "x*": "m"}}, "second")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/routes.db"


def test_each_change_is_a_version_and_every_version_can_be_read(url: str) -> None:
    routes = RoutesDatabase(url)
    assert routes.write(FIRST) == "1"
    known = routes.read(None)
    assert routes.read(known) is known
    assert routes.write(SECOND) == "2"
    assert routes.write(SECOND) == "2"  # nothing changes
    assert routes.read(known).to_json() == SECOND.to_json()
    assert list(routes.read(None).patterns) == ["*y", "x*"]
    assert routes.read(None, version=1).to_json() == FIRST.to_json()
    assert [routes.read(None).version, routes.read(None, 1).version] == ["2", "1"]


def test_what_stays_as_it_was_is_not_written_again(url: str) -> None:
    routes = RoutesDatabase(url)
    routes.write(FIRST)
    routes.write(SECOND)
    with sql.create_engine(url).connect() as connection:
        rows = connection.execute(sql.text("select added, removed from streamscore_routes where key = 'a'")).all()
    assert [tuple(row) for row in rows] == [(1, None)]


def test_of_two_writers_at_once_one_has_to_try_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    routes, other, entries = RoutesDatabase(url), RoutesDatabase(url), database._entries
    routes.write(FIRST)
    writing = iter([True])

    def meanwhile(connection: sql.Connection, version: int) -> Any:
        found = entries(connection, version)
        if next(writing, False):
            other.write(SECOND)
        return found

    monkeypatch.setattr(database, "_entries", meanwhile)
    with pytest.raises(TryAgainError, match="another writer"):
        routes.write(table_of({"default": "m"}, "third"))
    assert routes.read(None).to_json() == SECOND.to_json()


def test_without_tables_it_says_what_makes_them(url: str) -> None:
    with pytest.raises(StorageError, match="streamscore routes push FILE"):
        RoutesDatabase(url).read(None)


def test_a_password_is_not_shown() -> None:
    routes = RoutesDatabase("postgresql+psycopg2://me:secret@127.0.0.1:1/routes")
    with pytest.raises(StorageError) as caught:
        routes.read(None)
    assert "secret" not in f"{caught.value} {routes.place}"


@pytest.mark.parametrize("url", ["nothing://there", "postgresql+nodriver://h/d", "://"])
def test_a_url_of_no_database_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="no URL of a database"):
        RoutesDatabase(url)
