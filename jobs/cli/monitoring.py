"""Commands that watch what the tables of a feed say."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.options import FeedName, Profile, Tables, app, settings_of
from schemas.errors import StorageError
from schemas.feed import load_feed

From = Annotated[
    int | None,
    typer.Option("--from", metavar="VERSION", min=0, help="Begin there (default: next; 0 with --once, --cursor)."),
]
Table = Annotated[
    str | None, typer.Option(help="quarantine, batches, events or requests (default: predictions or forecasts).")
]
CursorPath = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Remember there how far it got, and go on from it next time.")
]


@app.command()
def follow(
    feed: FeedName,
    start: From = None,
    table: Table = None,
    once: Annotated[bool, typer.Option("--once", help="End where there is no more.")] = False,
    cursor: CursorPath = None,
    tables: Tables = None,
    profile: Profile = None,
) -> None:
    """Print the new rows of a table as JSON lines, until SIGTERM or Ctrl-C."""
    from jobs.monitoring.cursor_file import CursorFile
    from jobs.monitoring.follow import RowPrinter
    from schemas.tables import scored_table
    from streamscore.following.follow_table import open_follower
    from streamscore.logs import configure_logging

    configure_logging(debug=False)
    followed, settings = load_feed(feed), settings_of(profile, None, tables, None)
    file = CursorFile(cursor) if cursor else None
    begin = 0 if start is None and (once or file) else start
    stored = file.read() if file else None
    follower = open_follower(followed, table or scored_table(followed), stored or begin, settings)
    printer = RowPrinter(follower, sys.stdout.buffer, file)
    try:
        if not once:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            printer.run()
        printer.print_new()
    except KeyboardInterrupt:
        return
    except BrokenPipeError:  # the reader, as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    if not follower.is_there:
        msg = f"no table at {follower.uri} yet; make it: streamscore run {feed}"
        raise StorageError(msg)
