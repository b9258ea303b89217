"""The table of routes in PostgreSQL: as in SQLite, and with a server that goes away."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from schemas.errors import TryAgainError
from schemas.settings import Routing
from services.mlflow_server import Postgres
from streamscore.routing.database import RoutesDatabase
from streamscore.routing.followed import open_routes
from streamscore.routing.routes import table_of
from tests.support.needs import AskedServices

pytestmark = [pytest.mark.system, pytest.mark.needs("postgres")]

WRITERS = 4


def test_routes_are_kept_in_postgresql_and_survive_its_outage(services: AskedServices) -> None:
    server = Postgres("postgres-routes", services.folder)
    server.start()
    try:
        url = server.url.replace("postgresql:", "postgresql+psycopg2:")
        first = table_of({"keys": {"ä": "m", "b": None}, "patterns": {"x*": "m", "*y": "n"}, "default": "d"}, "first")
        assert RoutesDatabase(url).write(first) == "1"
        followed = open_routes(Routing(routes=url))
        assert followed.table.to_json() == first.to_json()

        def write(writer: int) -> str:
            try:
                return RoutesDatabase(url).write(table_of({"default": f"m{writer}"}, "later"))
            except TryAgainError:
                return ""

        with ThreadPoolExecutor(WRITERS) as pool:
            written = [version for version in pool.map(write, range(WRITERS)) if version]
        assert sorted(written) == [str(version) for version in range(2, 2 + len(written))]
        followed.look()
        assert followed.table.version == str(1 + len(written))
        assert RoutesDatabase(url).read(None, 1).to_json() == first.to_json()

        before = followed.table
        server.stop()
        followed.look()
        assert followed.table is before
        server.start()
        RoutesDatabase(url).write(first)
        followed.look()
        assert followed.table.to_json() == first.to_json()
    finally:
        server.stop()
