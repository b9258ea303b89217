"""The command line: flags in, exit codes out. Whatever is slow to import is imported by the command that needs it.

terminal     where a command prints to
variables    of the process, written before there are threads
options      what the commands share, and the options of `streamscore` itself
stream       run, status, maintain, replay
monitoring   follow
drift        drift
alerts       watch, alerts list, test, check, dry-run
serving      serve, serve-key
routes       routes push, list, find
models       train, promote, models, lineage, compare
store        store push, list, show, pull, copy
data         sample, fetch, schema
first_steps  doctor, demo

The help lists the commands in the order in which these modules are imported.
"""

import sys
import traceback
from collections.abc import Sequence

from jobs.cli.options import app
from jobs.cli.terminal import prepare
from schemas.errors import StreamscoreError
from schemas.passwords import without_passwords

from jobs.cli import stream, monitoring, drift, alerts, serving, routes, models, store, data, first_steps  # isort: skip  in the order of the help

__all__ = [
    "alerts",
    "app",
    "data",
    "drift",
    "first_steps",
    "main",
    "models",
    "monitoring",
    "routes",
    "serving",
    "store",
    "stream",
]


def main(arguments: Sequence[str] | None = None) -> None:
    """The `streamscore` command; ends the process with the exit code of what happened."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    try:
        prepare()
        app([a for a in arguments if a != "--debug"], prog_name="streamscore")
    except StreamscoreError as error:
        said = without_passwords(traceback.format_exc()).rstrip() if debug else f"streamscore: {error}"
        print(said, file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if debug:
            print(without_passwords(traceback.format_exc()).rstrip(), file=sys.stderr)
        else:
            said = without_passwords(" ".join(str(error).split()))[:500]
            print(f"streamscore: unexpected {type(error).__name__}: {said}; the whole story: --debug", file=sys.stderr)
        sys.exit(1)
