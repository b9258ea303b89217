"""The commands of the table of routes: which model answers for whom."""

import json
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.options import Profile, app, out
from schemas.errors import SettingsError
from schemas.settings import load_settings

routes = typer.Typer(help="Which model answers for which user or routing key.", no_args_is_help=True)
app.add_typer(routes, name="routes")


@routes.command("list")
def list_routes(profile: Profile = None) -> None:
    """Print the table of routes as JSON, with its version."""
    from streamscore.routing.followed import open_routes

    table = open_routes(load_settings(profile).routing).table
    print(json.dumps({"version": table.version} | table.to_json(), indent=1))


@routes.command()
def find(key: Annotated[str, typer.Argument(help="A user or routing key.")], profile: Profile = None) -> None:
    """Say which model a key has."""
    from streamscore.routing.followed import open_routes

    route = open_routes(load_settings(profile).routing).find(key)
    out.print("no route" if route is None else json.dumps(route.to_json()), soft_wrap=True, markup=False)


@routes.command()
def push(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A table of routes in YAML.")], profile: Profile = None
) -> None:
    """Make the database's table of routes what a file says, as one new version; services take it up."""
    from streamscore.routing.database import RoutesDatabase
    from streamscore.routing.file import RoutesFile
    from streamscore.routing.followed import source_of

    place = load_settings(profile).routing.routes
    to = source_of(place)
    if not isinstance(to, RoutesDatabase):
        msg = (
            f"routing.routes is '{place}', wanted the URL of a database; a file needs no push: it is read as it changes"
        )
        raise SettingsError(msg)
    version = to.write(RoutesFile(file).read(None))
    out.print(f"routes in {to.place} are at version {version}", soft_wrap=True, markup=False)
