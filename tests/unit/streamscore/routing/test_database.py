"""The table of routes in a SQL database."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql
from hypothesis import given, settings
from hypothesis import strategies as st

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


ROUTES = st.fixed_dictionaries(
    {
        "keys": st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["m", "n", None])),
        "patterns": st.dictionaries(st.sampled_from(["x*", "*y", "?"]), st.sampled_from(["m", "n"])),
        "default": st.sampled_from([{"model": "m"}, {"model": None}]),
    }
)


@given(st.lists(ROUTES, min_size=1, max_size=5), st.integers(0, 4))
@settings(max_examples=12)
def test_a_table_that_is_known_and_one_that_is_not_are_read_as_the_same(tables: list[Any], seen: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        routes = RoutesDatabase(f"sqlite:///{folder}/routes.db")
        known = None
        for number, said in enumerate(tables):
            routes.write(table_of(said, "written"))
            known = routes.read(known) if number == seen else known
        found, whole = routes.read(known), routes.read(None)
    said = table_of(tables[-1], "said")
    assert found.to_json() == whole.to_json() == said.to_json()
    assert list(found.patterns) == list(whole.patterns) == list(said.patterns)
    assert found.version == whole.version


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
