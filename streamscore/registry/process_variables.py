"""Variables of the whole process that a library reads at a time of its own: set once, not for each call.

A write to the environment while another thread reads it is a race, which ends a process where the reader is C code.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from schemas.errors import RegistryError

WAIT_SECONDS = 120.0  # for others who need other values; a transfer from a store that hangs ends before


class ProcessVariables:
    """Values that any number of threads may need at once, as long as they need the same ones.

    The first writes them, and they stay: who needs the same writes nothing. Who needs others waits until nobody is
    inside, then writes.
    """

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._inside = 0
        self._values: dict[str, str] = {}
        self._before: dict[str, str | None] = {}  # what a variable of ours was in the shell

    @contextmanager
    def of(self, wanted: Mapping[str, str]) -> Iterator[None]:
        """Within it, the variables have these values.

        Raises:
            RegistryError: another registry of this process, with another object store, is in use all the time.
        """
        with self._turn:
            if not self._turn.wait_for(lambda: not self._inside or self._values == wanted, WAIT_SECONDS):
                msg = (
                    "this process is busy with a registry whose artifacts are reached in another way (storage.*); "
                    "use one process for each of them, then: streamscore doctor"
                )
                raise RegistryError(msg)
            self._write(dict(wanted))
            self._inside += 1
        try:
            yield
        finally:
            with self._turn:
                self._inside -= 1
                self._turn.notify_all()

    def _write(self, wanted: dict[str, str]) -> None:
        if wanted != self._values:
            for name in self._values.keys() - wanted.keys():
                put_back(name, self._before.pop(name))
            for name in wanted.keys() - self._before.keys():
                self._before[name] = os.environ.get(name)
            self._values = wanted
        for name, value in wanted.items():
            if os.environ.get(name) != value:
                os.environ[name] = value


def put_back(name: str, before: str | None) -> None:
    """Give a variable the value that it had; None if it was not there."""
    if before is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = before
