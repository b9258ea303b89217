"""The JVM of a session, begun in an environment of its own; what it says is kept until it is up."""

import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from types import FunctionType
from typing import IO, Any

from streamscore.spark.jvm_error import no_jvm

STANDARD_OUTPUT, STANDARD_ERROR = 1, 2
MOMENT = 1.0  # seconds in which a JVM whose connection is lost is gone
NOISE = b"WARNING: Using incubator modules"  # Spark asks for them; it would stand before an error's first line
ENDED = 1  # for pyspark, which waits for ever for a JVM that ended with 0


class JvmProcess(subprocess.Popen[bytes]):
    """spark-submit, then the JVM in its place; what it says is kept until a session is there, then passed on."""

    def __init__(self, command: list[str], **how: Any) -> None:
        self._kept: list[tuple[int, bytes]] | None = []
        self._turn = threading.Lock()
        super().__init__(command, **how | {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE})
        pipes = (STANDARD_OUTPUT, self.stdout), (STANDARD_ERROR, self.stderr)
        self._readers = [threading.Thread(target=self._read, args=pipe, name="jvm", daemon=True) for pipe in pipes]
        for reader in self._readers:
            reader.start()

    def poll(self) -> int | None:
        """As of any process; but one that ended has a code that is not 0."""
        code = super().poll()
        return ENDED if code == 0 else code

    def code(self) -> int | None:
        """Of one that may be about to end: None if it does not."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(MOMENT)
        return self.poll()

    def pass_on(self) -> None:
        """What it said, and from now on what it says."""
        with self._turn:
            kept, self._kept = self._kept or [], None
            for to, line in kept:
                _write(to, line)

    def said(self) -> str:
        """What it said until now; all of it if it has ended."""
        if self.poll() is not None:
            for reader in self._readers:
                reader.join(1)
        with self._turn:
            return b"".join(line for _, line in self._kept or []).decode("utf-8", "replace")

    def _read(self, to: int, lines: IO[bytes]) -> None:
        for line in lines:
            if line.startswith(NOISE):
                continue
            with self._turn:
                if self._kept is None:
                    _write(to, line)
                else:
                    self._kept.append((to, line))


def start_jvm(conf: Mapping[str, str], variables: Mapping[str, str], without: Collection[str] = ()) -> JvmProcess:
    """Start the JVM of this process, as pyspark does it; nothing is written to this process's own environment.

    It is silent until its `pass_on`.

    Args:
        variables: of the JVM, beside those of this process; `SPARK_HOME` among them is its Spark.
        without: variables of this process that the JVM does not get.

    Raises:
        SettingsError: it did not come up; the message says why.
    """
    from pyspark import SparkConf, SparkContext, java_gateway
    from pyspark.accumulators import AccumulatorTCPServer

    AccumulatorTCPServer.handle_error = _print_error  # type: ignore[assignment,method-assign]
    started: list[JvmProcess] = []

    def begin(command: list[str], env: dict[str, str], **how: Any) -> JvmProcess:
        kept = {name: value for name, value in env.items() if name not in without}
        started.append(JvmProcess(command, env=kept | dict(variables), **how))
        return started[0]

    # pyspark takes the variables of its process, and keeps a JVM that did not come up to itself
    names = vars(java_gateway) | {"Popen": begin}
    if home := variables.get("SPARK_HOME"):
        names["_find_spark_home"] = lambda: home
    launch = FunctionType(java_gateway.launch_gateway.__code__, names, argdefs=(None, None))
    try:
        gateway = launch(SparkConf(loadDefaults=False).setAll(list(conf.items())))
    except Exception as error:
        said, code = (started[0].said(), started[0].poll()) if started else (str(error), None)
        raise no_jvm(said, code) from error
    SparkContext._ensure_initialized(gateway=gateway)
    return started[0]


def _print_error(server: socketserver.BaseServer, request: Any, client_address: Any) -> None:
    """As Python does it, but for the JVM's end, which is told in one line elsewhere."""
    if not isinstance(sys.exception(), EOFError | ConnectionError):
        socketserver.BaseServer.handle_error(server, request, client_address)


def _write(to: int, line: bytes) -> None:
    with suppress(OSError):  # closed; the JVM may not wait for it
        os.write(to, line)
