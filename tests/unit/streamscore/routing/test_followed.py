"""The table of routes is taken up as it changes."""

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from schemas.errors import SettingsError
from schemas.settings import Routing
from streamscore.routing.database import RoutesDatabase
from streamscore.routing.followed import FollowedRoutes, open_routes
from streamscore.routing.routes import table_of


def look(routes: FollowedRoutes) -> None:
    """Look until a change is seen to be whole."""
    routes.look()
    routes.look()


def model_of(routes: FollowedRoutes, key: str) -> str | None:
    route = routes.find(key)
    return route.model if route else "no route"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "routes.yaml"
    path.write_text("keys: {alice: wine}\n")
    return path


def test_a_file_that_changes_is_taken_up(file: Path) -> None:
    routes = open_routes(Routing(routes=str(file)))
    assert model_of(routes, "alice") == "wine"
    file.write_text("keys: {alice: beer}\n")  # of the same length, and perhaps in the same tick of the clock
    look(routes)
    assert model_of(routes, "alice") == "beer"


def test_a_file_that_is_being_written_is_left_until_it_is_whole(file: Path) -> None:
    routes = open_routes(Routing(routes=str(file)))
    file.write_text("default: beer\n")  # half of it is a table, too
    routes.look()
    assert model_of(routes, "alice") == "wine"
    file.write_text("default: beer\nkeys: {alice: milk}\n")
    routes.look()
    assert model_of(routes, "alice") == "wine"
    routes.look()
    assert model_of(routes, "alice") == "milk"


def test_another_text_of_the_same_table_is_no_change(file: Path) -> None:
    routes = open_routes(Routing(routes=str(file)))
    before = routes.table
    file.write_text("# said again\nkeys: {alice: {model: wine}}\n")
    look(routes)
    assert routes.table is before


def test_a_file_that_has_not_changed_is_not_read_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.utime(file, (0, 0))
    routes = open_routes(Routing(routes=str(file)))
    monkeypatch.setattr("streamscore.routing.file.read_yaml", lambda _: pytest.fail("read again"))
    routes.look()
    assert model_of(routes, "alice") == "wine"


@pytest.mark.parametrize("change", ["keys: {alice: [1]}\n", "keys: {alice: a, alice: b}\n", "{", "", None])
def test_a_table_that_is_wrong_later_changes_nothing_and_is_told_once(file: Path, change: str | None) -> None:
    routes = open_routes(Routing(routes=str(file)))
    file.unlink() if change is None else file.write_text(change)
    with capture_logs() as told:
        look(routes)
        look(routes)
    assert model_of(routes, "alice") == "wine"
    assert [entry["event"] for entry in told] == ["routes_refused"]
    file.write_text("keys: {alice: beer}\n")
    look(routes)
    assert model_of(routes, "alice") == "beer"


def test_a_table_that_is_wrong_at_the_start_is_refused(file: Path) -> None:
    file.write_text("keys: {1001: wine}\n")
    with pytest.raises(SettingsError, match='write text in quotes, as in "1001"'):
        open_routes(Routing(routes=str(file)))


def test_only_the_default_file_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert model_of(open_routes(Routing()), "alice") == "no route"
    with pytest.raises(SettingsError, match=r"other\.yaml cannot be read"):
        open_routes(Routing(routes="other.yaml"))


def test_a_database_that_changes_is_taken_up(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/routes.db"
    writer = RoutesDatabase(url)
    writer.write(table_of({"keys": {"alice": "wine"}}, "first"))
    routes = open_routes(Routing(routes=url))
    assert (model_of(routes, "alice"), routes.table.version) == ("wine", "1")
    writer.write(table_of({"keys": {"alice": "beer"}}, "second"))
    routes.look()
    assert (model_of(routes, "alice"), routes.table.version) == ("beer", "2")
