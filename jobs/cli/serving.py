"""The command that answers online."""

from typing import Annotated

import typer

from jobs.cli.options import Profile, app
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
