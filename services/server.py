"""One server of the tests: a process on a port of loopback, its log in a file, its end by process id."""

import contextlib
import ctypes
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

HOST = "127.0.0.1"
START_SECONDS, STOP_SECONDS = 120, 20
PR_SET_PDEATHSIG = 1


class ServerError(RuntimeError):
    """A server does not start or answer; the end of its log is in the message."""


class Server:
    """A process that is started on a port, and started again on the same port with the same data.

    To be used from one thread that lives as long as the server: the system takes that thread's end for ours.

    Attributes:
        name: of the server, its folder and its log.
        stop_signal: what ends it cleanly.
        orphan_signal: what the system sends it when this process dies, even by kill -9; it must end what it started.
        user, group: whom it runs as; None: as this process.
    """

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    orphan_signal: ClassVar[signal.Signals] = signal.SIGTERM
    user: int | None = None
    group: int | None = None

    def __init__(self, name: str, folder: Path, port: int | None = None) -> None:
        self.name = name
        self.folder = folder / name
        self.log = folder / f"{name}.log"
        self.port = free_port(port)
        self.process: subprocess.Popen[bytes] | None = None
        self.folder.mkdir(parents=True, exist_ok=True)

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """The whole environment of the process: nothing of ours reaches it by accident."""
        return clean_environment()

    def answers(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            ServerError: it ended, or did not answer in time.
        """
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                env=dict(self.environment()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=self.user,
                group=self.group,
                extra_groups=None if self.user is None else [],
                preexec_fn=die_with_parent(self.orphan_signal),
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.has_ended():
                msg = f"{self.name} ended with {self.process.returncode}; {self.log} ends:\n{self.tail()}"
                raise ServerError(msg)
            if time.monotonic() > deadline:
                self.kill()
                msg = f"{self.name}: no answer in {START_SECONDS} s; {self.log} ends:\n{self.tail()}"
                raise ServerError(msg)
            time.sleep(0.05)

    def stop(self) -> None:
        """End it cleanly, with whatever it started; nothing to do if it is down."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGCONT)  # if it is paused
        self._end(self.stop_signal)
        self.kill()

    def kill(self) -> None:
        """kill -9, with whatever it started."""
        if self.process is None:
            return
        self._end(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def pause(self) -> None:
        """It keeps its connections and says nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def has_ended(self) -> bool:
        """Whether it was started and ended by itself."""
        return self.process is not None and self.process.poll() is not None

    def tail(self, lines: int = 20) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _end(self, number: signal.Signals) -> None:
        """Signal its process group and wait, for a bounded time, until nobody is left of it."""
        deadline = time.monotonic() + STOP_SECONDS
        with contextlib.suppress(ProcessLookupError):
            self._signal(number)
            while self.process and time.monotonic() < deadline:
                self.process.poll()  # the system forgets it only when it was asked
                os.killpg(self.process.pid, 0)
                time.sleep(0.02)

    def _signal(self, number: signal.Signals) -> None:
        if self.process is None:
            msg = f"{self.name} is not running"
            raise ServerError(msg)
        os.killpg(self.process.pid, number)


def free_port(preferred: int | None = None) -> int:
    """The preferred port if nobody has it, else a free one."""
    for port in (preferred, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if port is not None:
                probe.bind((HOST, port))
                return int(probe.getsockname()[1])
    msg = f"found no free port on {HOST}"
    raise ServerError(msg)


def kept_secret(path: Path) -> str:
    """The secret in this file; made, for its owner alone, if it is not there."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(20))
    return path.read_text(encoding="ascii")


def clean_environment() -> dict[str, str]:
    """Ours, without what steers AWS's tools, MLflow, PostgreSQL, MinIO or streamscore."""
    steering = ("AWS_", "MLFLOW_", "PG", "MINIO_", "ROOT_", "VGW_", "STREAMSCORE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(steering)}


def die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """For the child: a signal when this process ends in any way. Only Linux has it; elsewhere orphans stay."""
    try:
        prctl = ctypes.CDLL(None).prctl
    except AttributeError:
        return None
    return lambda: prctl(PR_SET_PDEATHSIG, number)
