"""One driver a checkpoint: a lock of the system on a local folder, a lease in an object store.

A lease is an object of its own, `lease/<number>`: who takes it creates the next number, which of several one can. Its
holder writes it again every `RENEW_SECONDS`. Who wants to follow him watches the object by his own clock, so that no
two clocks need agree: if it changes, its holder lives; if it does not for `EXPIRE_SECONDS`, he is taken over. A holder
writes and then looks for a successor, a successor creates and then looks whether the holder wrote: so of the two at
least one gives way. Nothing is asked of the store but put-if-absent and that what was written is read.
"""

import fcntl
import json
import math
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import structlog

from schemas.errors import StorageError, TryAgainError
from streamscore.storage.bucket import BucketFolder
from streamscore.storage.folder import Folder, LocalFolder

log = structlog.get_logger()

NAME = "lease"
FREE = b"{}"  # the body of one that was released
LOCK = "lock"
RENEW_SECONDS, EXPIRE_SECONDS, POLL_SECONDS = 4.0, 20.0, 1.0
HELD_SECONDS = 12.0  # after the last renewal was asked for; what is left of EXPIRE_SECONDS is for the commit
REQUEST_SECONDS = 4


class Lease(Protocol):
    """The right to stream with a checkpoint."""

    def assert_held(self) -> None:
        """Raise StorageError if another driver may hold it by now; it can pass."""

    def release(self) -> None:
        """Let another driver have it."""


class NoLease:
    """For tests: two drivers at once, of which a conflict ends one."""

    def assert_held(self) -> None: ...

    def release(self) -> None: ...


@contextmanager
def alone(folder: Folder, feed: str, otherwise: TryAgainError) -> Iterator[threading.Event]:
    """While this process has the lease of a folder, which is made; what is given is set if another took it over.

    Raises:
        TryAgainError: `otherwise`, as another process has it.
    """
    lost = threading.Event()
    folder.make()
    try:
        held = folder.take_lease(feed, lambda _: lost.set())
    except TryAgainError as error:
        raise otherwise from error
    try:
        yield lost
    finally:
        held.release()


def _in_use(folder: Folder, holder: str, feed: str) -> TryAgainError:
    return TryAgainError(f"checkpoint {folder.uri} is in use by {holder}; stop it, look: streamscore status {feed}")


def this_process() -> str:
    """This process, as others are told of it."""
    return f"process {os.getpid()} on {socket.gethostname()}"


class LocalLock:
    """An open file that the system unlocks when its process ends, however it does."""

    def __init__(self, folder: LocalFolder, feed: str) -> None:
        self._handle = os.open(folder.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._handle, 100).decode() or "another process"
            os.close(self._handle)
            raise _in_use(folder, holder, feed) from error
        os.truncate(self._handle, 0)
        os.pwrite(self._handle, this_process().encode(), 0)

    def assert_held(self) -> None:
        """It is, as long as this process lives."""

    def release(self) -> None:
        os.close(self._handle)


class BucketLease:
    """The newest object of `lease/`, written again and again by a thread of its own."""

    def __init__(self, folder: BucketFolder, feed: str, lost: Callable[[str], None]) -> None:
        # a renewal ends sooner than another driver may take over
        limits = {"read_seconds": REQUEST_SECONDS, "attempts": 1}
        self._folder = BucketFolder(f"{folder.uri}/{NAME}", folder.storage, **limits)
        self._checkpoint, self._lost = folder, lost
        self._token = uuid.uuid4().hex
        self._number, self._renewed = self._take(feed)
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def assert_held(self) -> None:
        age = time.monotonic() - self._renewed
        if age > HELD_SECONDS:
            msg = f"the lease of {self._checkpoint.uri} was not renewed for {age:.0f} s, nothing is committed"
            raise StorageError(msg)

    def release(self) -> None:
        self._released.set()
        self._thread.join()
        try:
            self._folder.write(_name(self._number), FREE)
        except StorageError as error:  # it expires by itself
            log.warning("lease not released", error=str(error))

    def _take(self, feed: str) -> tuple[int, float]:
        """Follow a holder who released it, or whose object stays as it is for `EXPIRE_SECONDS`.

        Returns:
            The number of our own object, and when it was created at the earliest.
        """
        watched, until = (0, ""), 0.0
        while True:
            numbers = _numbers(self._folder)
            newest = numbers[-1] if numbers else 0
            found = self._folder.read_tagged(_name(newest)) if numbers else (FREE, "")
            if found is None:
                continue  # it is not the newest any more
            if holder := json.loads(found[0]):
                if not watched[0]:
                    log.info("checkpoint is leased, watching whether its holder lives", holder=holder["holder"])
                    watched, until = (newest, found[1]), time.monotonic() + EXPIRE_SECONDS
                if watched != (newest, found[1]):
                    raise _in_use(self._checkpoint, holder["holder"], feed)
                if time.monotonic() < until:
                    time.sleep(POLL_SECONDS)
                    continue
            begun = time.monotonic()
            if not self._folder.create(_name(newest + 1), self._body()):
                continue  # somebody else was faster
            still = not holder or self._folder.read_tagged(_name(newest)) == found
            # a number that was given up long ago may have been created once more: only the newest counts
            if not still or _numbers(self._folder)[-1] != newest + 1:
                raise _in_use(self._checkpoint, holder.get("holder", "another driver"), feed)  # ours expires
            for number in numbers:
                self._folder.delete(_name(number))
            return newest + 1, begun

    def _renew(self) -> None:
        while not self._released.wait(RENEW_SECONDS):
            begun = time.monotonic()
            try:
                self._folder.write(_name(self._number), self._body())
                newest = _numbers(self._folder)[-1]
                holder = bucket_holder(self._checkpoint) if newest != self._number else {}
            except StorageError as error:
                log.warning("lease not renewed, trying again", error=str(error))
                continue
            if newest != self._number:
                self._renewed = -math.inf
                self._lost(holder.get("holder", "another driver"))
                return
            self._renewed = begun

    def _body(self) -> bytes:
        return json.dumps({"holder": this_process(), "token": self._token, "renewed": time.time()}).encode()


def bucket_holder(folder: BucketFolder) -> dict[str, Any]:
    """Who holds the lease of a checkpoint, `holder`, and when he wrote it last by his clock, `renewed`; else empty."""
    leases = folder.at(NAME)
    numbers = _numbers(leases)
    held: dict[str, Any] = json.loads((leases.read(_name(numbers[-1])) if numbers else None) or FREE)
    return held


def _name(number: int) -> str:
    return f"{number:09}"


def _numbers(folder: BucketFolder) -> list[int]:
    return sorted(int(name) for name in folder.names() if name.isdigit())
