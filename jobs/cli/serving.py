"""The commands of the online service."""

from datetime import date, datetime
from typing import Annotated

import typer

from jobs.cli.options import Profile, app, out
from schemas.settings import load_settings


@app.command()
def serve(
    model: Annotated[
        list[str] | None, typer.Option(help="A model URI to load first; may be given again. The first is the default.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on (default: 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on (default: 8000).")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that answer (default: 1).")] = None,
    profile: Profile = None,
) -> None:
    """Answer requests over REST with the models of the registry, until SIGTERM or Ctrl-C."""
    flags = {
        "serving.models": tuple(model) if model else None,
        "serving.host": host,
        "serving.port": port,
        "serving.workers": workers,
    }
    settings = load_settings(profile, flags)
    from jobs.serving.run import serve as run

    run(settings)


@app.command("serve-key")
def serve_key(
    name: Annotated[str, typer.Argument(help="Whose key it is; logs say it.")],
    predict: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Models it may ask, as wine_* (default: all).")
    ] = None,
    user: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Users it may predict for (default: all).")
    ] = None,
    admin: Annotated[bool, typer.Option("--admin", help="It may use the admin routes, and ask no model.")] = False,
    expires: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The first day on which it is refused.")
    ] = None,
) -> None:
    """Make an API key: print it, which is done once, and its entry in the settings, which holds only its hash."""
    from jobs.serving.access.new_key import entry_of, new_key

    models = tuple(predict or (() if admin else ("*",)))
    day: date | None = expires.date() if expires else None
    key, entry = new_key(name, models, tuple(user or ("*",)), admin, day)
    out.print(
        f"key, shown only now: {key}\nserving.keys in conf/<profile>.yaml: - {entry_of(entry)}",
        soft_wrap=True,
        markup=False,
    )
