"""What the commands share: the application and its own options, its console, options that mean the same everywhere."""

import contextlib
from typing import Annotated

import typer
from rich.console import Console

from jobs.cli.variables import write_variables
from schemas.settings import Settings, load_settings

app = typer.Typer(
    help="CSV files in, predictions in a Delta table: low latency, exactly once.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Any command takes --debug for a traceback. Tab completion: streamscore --install-completion. "
    "Exit codes: 0 done, 2 usage or settings, 3 contract or gate, 4 registry, 5 storage, 75 try again later.",
)
out = Console(highlight=False)

FeedName = Annotated[str, typer.Argument(metavar="FEED", help="A feed: the name of a file in schemas/.")]
Profile = Annotated[str | None, typer.Option(help="A file in conf/ (default: local).")]
Landing = Annotated[str | None, typer.Option(metavar="DIR", help="Where CSV files land (default: var/landing/FEED).")]
Tables = Annotated[str | None, typer.Option(metavar="DIR", help="The feed's Delta tables (default: var/tables/FEED).")]
Checkpoint = Annotated[
    str | None, typer.Option(metavar="DIR", help="What the stream has done (default: var/checkpoints/FEED).")
]


def print_version(asked: bool) -> None:
    """For `--version`: print it, and end."""
    if asked:
        from streamscore import __version__

        print(f"streamscore {__version__}")
        raise typer.Exit


@app.callback()
def streamscore(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of `streamscore` itself, before any command."""


def settings_of(profile: str | None, landing: str | None, tables: str | None, checkpoint: str | None) -> Settings:
    """The settings of a command that looks at a stream from outside."""
    flags = {"landing": landing, "tables.path": tables, "checkpoint": checkpoint}
    return write_variables(load_settings(profile, flags))


def working(what: str) -> contextlib.AbstractContextManager[object]:
    """A spinner on a terminal, nothing elsewhere."""
    return out.status(what) if out.is_terminal else contextlib.nullcontext()
