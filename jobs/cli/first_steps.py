"""Commands for a new machine: whether everything is there, and what it looks like when it runs."""

import sys
from typing import Annotated

import typer

from jobs.cli.options import Checkpoint, Landing, Profile, Tables, app, out, settings_of
from schemas.feed import load_feed


@app.command()
def doctor(
    feed: Annotated[str, typer.Argument(metavar="FEED")] = "wine_quality",
    landing: Landing = None,
    tables: Tables = None,
    checkpoint: Checkpoint = None,
    profile: Profile = None,
) -> None:
    """Check Java, versions, registry, landing, tables and checkpoint; one fix for each failure."""
    from jobs.operations.doctor.doctor import examine, show

    settings = settings_of(profile, landing, tables, checkpoint)
    sys.exit(show(examine(load_feed(feed), settings), out))


@app.command()
def demo(
    keep_running: Annotated[bool, typer.Option("--keep-running", help="Leave the stream on afterwards.")] = False,
) -> None:
    """Train and register a model, stream made-up files, show the predictions; all under var/demo."""
    from jobs.demo import run_demo

    run_demo(out, keep_running=keep_running)
