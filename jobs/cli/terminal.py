"""Where a command prints to, whatever it was started with."""

import io
import os
import sys

from jobs.cli.options import out
from schemas.errors import SettingsError

WIDTH = 80  # of what is no terminal


def prepare() -> None:
    """Make it safe to print.

    1. A standard file that is closed is `/dev/null`: else the next file that is opened, such as a journal of the
    checkpoint, gets its number and all that is printed.  2. What the terminal's encoding cannot say is escaped.
    3. A width of 0, as some tools export it, is none.  4. The working folder is there.

    Raises:
        SettingsError: it is gone.
    """
    # 1
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    # 2
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # 3
    if "COLUMNS" in os.environ and not os.environ["COLUMNS"].strip("0 "):
        del os.environ["COLUMNS"]
        out.width = WIDTH
    # 4
    try:
        os.getcwd()
    except FileNotFoundError as error:
        msg = "the working folder is gone, wanted one that is there; cd into another one, or into this one again"
        raise SettingsError(msg) from error
