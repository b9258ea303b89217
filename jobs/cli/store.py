"""The commands of the model store: versions in a folder or a bucket."""

from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.options import Profile, app, out, working
from jobs.cli.variables import write_variables
from schemas.settings import load_settings
from streamscore.registry.registry import Registry, open_registry

store = typer.Typer(
    help="Model versions that never change, in a folder, a bucket or the registry.", no_args_is_help=True
)
app.add_typer(store, name="store")

Name = Annotated[str, typer.Argument(help="A model in the store.")]
Version = Annotated[str, typer.Argument(help="Exact (1.2.0), latest, or a range (^1.2): the newest that fits.")]
Place = Annotated[
    str | None,
    typer.Option("--store", metavar="PLACE", help="A folder, s3://BUCKET/PREFIX or mlflow (default: var/store)."),
]


@store.command()
def push(
    source: Annotated[str, typer.Argument(help="A model URI, or the folder of an MLflow model.")],
    name: Annotated[str, typer.Argument(help="The model's name in the store.")],
    version: Annotated[str, typer.Argument(help="Three numbers, as in 1.2.0; one that is not there yet.")],
    data: Annotated[Path | None, typer.Option(metavar="FILE", help="What the model was trained on.")] = None,
    keep_data: Annotated[
        bool | None, typer.Option("--keep-data/--no-keep-data", help="Keep that file too (default: up to 10 MiB).")
    ] = None,
    place: Place = None,
    profile: Profile = None,
) -> None:
    """Put a model into the store, once for ever: exit 3 if it may not be loaded, or another one is there."""
    from jobs.operations.model_store import source_of
    from streamscore.registry.store.push import push as push_model

    registry = _registry(place, profile)
    with working("pushing"), source_of(registry, source, data, keep_data) as pushed:
        done = push_model(registry.store, pushed, name, version, registry.models)
    out.print(f"store:/{done.name}/{done.version} is in {registry.store.place}, digest {done.manifest.digest}")


@store.command("list")
def list_versions(
    name: Annotated[str | None, typer.Argument(help="A model: all its versions.")] = None,
    place: Place = None,
    profile: Profile = None,
) -> None:
    """List the models with their newest versions, or the versions of one, newest first."""
    from jobs.operations.model_store import show_store

    show_store(_registry(place, profile).store, name, out)


@store.command()
def show(
    name: Name,
    version: Version = "latest",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    place: Place = None,
    profile: Profile = None,
) -> None:
    """Tell all that the store knows of a version: signature, metrics, training data, files."""
    from jobs.operations.model_store import show_version
    from streamscore.registry.store.model_store import find

    show_version(find(_registry(place, profile).store, name, version), out, as_json=as_json)


@store.command()
def pull(
    name: Name,
    version: Version,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is not there yet.")],
    place: Place = None,
    profile: Profile = None,
) -> None:
    """Take a version out of the store, verified: DIR/model, DIR/version.json, DIR/data."""
    from streamscore.registry.store.model_store import find
    from streamscore.registry.store.push import pull as pull_model

    registry = _registry(place, profile)
    with working("pulling"):
        found = find(registry.store, name, version)
        pull_model(registry.store, found, folder.absolute(), registry.models)
    out.print(f"store:/{found.name}/{found.version} is in {folder}")


@store.command()
def copy(
    name: Name,
    version: Version,
    to: Annotated[
        str, typer.Argument(metavar="PLACE", help="The other store: a folder, s3://BUCKET/PREFIX or mlflow.")
    ],
    place: Place = None,
    profile: Profile = None,
) -> None:
    """Put a version of the store into another one, with all that is known of it."""
    from streamscore.registry.store.model_store import find
    from streamscore.registry.store.push import copy as copy_model

    registry, other = _registry(place, profile), _registry(to, profile)
    with working("copying"):
        found = find(registry.store, name, version)
        copy_model(registry.store, found, other.store, registry.models)
    out.print(f"store:/{found.name}/{found.version} is in {other.store.place}")


def _registry(place: str | None, profile: str | None) -> Registry:
    """The registry and store of the settings."""
    return open_registry(write_variables(load_settings(profile, {"store.path": place})))
