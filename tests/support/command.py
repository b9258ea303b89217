"""A command in this process, as one of its own imports for seconds."""

import os
import signal
from pathlib import Path

import pytest

from jobs.cli import main


def exit_code(*arguments: str, cwd: Path, **environment: str) -> int:
    """What `streamscore` ends with; what it did to the environment and to signals is undone."""
    before, handlers = dict(os.environ), {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    folder = Path.cwd()
    os.environ.update(environment)
    try:
        os.chdir(cwd)
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
    finally:
        os.chdir(folder)
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return int(ended.value.code or 0)
