"""The process of a version that brings code of its own: started, asked, and ended with the last who holds it."""

import contextlib
import io
import json
import os
import pickle
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from schemas.errors import RegistryError
from streamscore.registry.memory import bytes_of_process

# What an answer may be made of; nothing of the version's own code is imported here to read one.
ANSWERS = ("numpy", "pandas", "pyarrow", "scipy", "datetime", "decimal", "collections", "zoneinfo", "dateutil", "pytz")
BUILTINS = ("bytearray", "complex", "frozenset", "range", "set", "slice")
START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from streamscore.registry.version_main import main; "
START += "main(int(sys.argv[2]), sys.argv[3])"


class ModelProcessError(Exception):
    """The process of a version ended while it was asked."""


class VersionProcess:
    """One model version in a process of its own; for many threads, one at a time.

    Attributes:
        forecasts: whether the model has the method `forecast_windows`.
        missing_text: as `Pyfunc.missing_text`.
    """

    def __init__(self, path: Path) -> None:
        """Start it, and load the version there.

        Raises:
            ModelProcessError: it ended.
            Exception: what loading raised there, as an exception of that name.
        """
        self._path, self._asking = path, threading.Lock()
        self._child = _Child(path)
        self.forecasts, self.missing_text = self._child.loaded

    def method(self, name: str) -> Callable[..., Any]:
        """A method of the model, called there.

        It raises an exception of the same name and text as there. A process that ends while it is asked is started
        again and asked once more: whoever ended it, the rows are to blame only if it ends again.

        Raises:
            ModelProcessError: it ended twice.
            RegistryError: it does not start again.
        """
        return lambda *arguments, **named: self._ask((name, arguments, named))

    def memory(self) -> int:
        """Bytes that it has for itself."""
        return bytes_of_process(self._child.number)

    def _ask(self, request: tuple[str, Any, Any]) -> Any:
        with self._asking:
            try:
                return self._again().ask(request)
            except ModelProcessError:
                return self._again().ask(request)

    def _again(self) -> "_Child":
        if not self._child.is_running:
            try:
                self._child = _Child(self._path)
            except Exception as error:
                msg = (
                    f"the process of the model in {self._path} does not start again: {error}; "
                    f"look at the memory of this machine, then start the same command"
                )
                raise RegistryError(msg) from error
        return self._child


class _Child:
    """One process, from its start to its end."""

    def __init__(self, path: Path) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            here = [entry or os.getcwd() for entry in sys.path]
            arguments = json.dumps(here), str(theirs.fileno()), str(path)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", START, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=2,  # what a model prints is no output of ours
                pass_fds=[theirs.fileno()],
            )
        self._connection = Connection(ours.detach())
        self._end = weakref.finalize(self, _end, self._process, self._connection, os.getpid())
        try:
            self.loaded = self._receive()
        except BaseException:
            self._end()
            raise

    @property
    def number(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: tuple[str, Any, Any]) -> Any:
        try:
            self._connection.send_bytes(pickle.dumps(request, 5))
        except OSError as error:
            raise self._ended() from error
        return self._receive()

    def _receive(self) -> Any:
        try:
            message = self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise self._ended() from error
        what, *answer = _Answer(io.BytesIO(message)).load()
        if what == "raised":
            name, text = answer
            raise type(name, (Exception,), {})(text)
        return answer[0]

    def _ended(self) -> ModelProcessError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._end()
        return ModelProcessError(f"the model's process ended with {self._process.returncode}")


class _Answer(pickle.Unpickler):
    """Arrays, frames and plain values, as the process wrote them."""

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] in ANSWERS or (module == "builtins" and name in BUILTINS):
            return super().find_class(module, name)
        msg = f"an answer of {module}.{name}, wanted arrays, frames, lists or dicts"
        raise pickle.UnpicklingError(msg)


def _end(process: "subprocess.Popen[bytes]", connection: Connection, owner: int) -> None:
    if os.getpid() == owner:  # else this process was forked from the one that started it
        process.kill()
        process.wait()
    connection.close()
