"""One driver a checkpoint: a lock of the system on a local folder, a lease in an object store.

A holder renews its lease every `RENEW_SECONDS`. Who wants it watches the object by his own clock, so that no two clocks
need agree: if it changes, its holder lives; if it does not for `EXPIRE_SECONDS`, it is taken over, and of two who take
it over at once, one fails.
"""

import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import Protocol

import structlog

from jobs.streaming.storage.bucket import BucketFolder
from jobs.streaming.storage.folder import Folder, LocalFolder
from schemas.errors import StorageError, TryAgainError

log = structlog.get_logger()

NAME = "lease"
LOCK = "lock"
RENEW_SECONDS, EXPIRE_SECONDS, LOOK_SECONDS = 4.0, 20.0, 1.0
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


def take(folder: Folder, feed: str, lost: Callable[[str], None]) -> Lease:
    """The lease of a checkpoint.

    Args:
        feed: named in the command that an error proposes.
        lost: called with the new holder if another driver took it, which can only be while the store did not answer
            us, or while this process stood still.

    Raises:
        TryAgainError: another driver holds it; it is named.
    """
    if isinstance(folder, BucketFolder):
        return BucketLease(folder, feed, lost)
    assert isinstance(folder, LocalFolder)
    return LocalLock(folder, feed)


def _in_use(folder: Folder, holder: str, feed: str) -> TryAgainError:
    return TryAgainError(f"checkpoint {folder.uri} is in use by {holder}; stop it, look: streamscore status {feed}")


def _holder() -> str:
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
        os.pwrite(self._handle, _holder().encode(), 0)

    def assert_held(self) -> None:
        """It is, as long as this process lives."""

    def release(self) -> None:
        os.close(self._handle)


class BucketLease:
    """An object that is renewed by a conditional PUT, from a thread of its own."""

    def __init__(self, folder: BucketFolder, feed: str, lost: Callable[[str], None]) -> None:
        # a renewal ends sooner than another driver may take over
        self._folder = BucketFolder(folder.uri, folder.storage, read_seconds=REQUEST_SECONDS, attempts=1)
        self._lost = lost
        self._renewed = 0.0
        self._token = uuid.uuid4().hex
        self._etag = self._take(feed)
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def assert_held(self) -> None:
        age = time.monotonic() - self._renewed
        if not self._etag or age > HELD_SECONDS:
            raise StorageError(f"the lease of {self._folder.uri} was not renewed for {age:.0f} s, nothing is committed")

    def release(self) -> None:
        self._released.set()
        self._thread.join()
        if self._etag:
            try:
                self._folder.replace(NAME, b"{}", self._etag)
            except StorageError as error:  # it expires by itself
                log.warning("lease not released", error=str(error))

    def _take(self, feed: str) -> str:
        """Make it; or take over one that is free, or that stays as it is for `EXPIRE_SECONDS`."""
        until, watched = 0.0, ""
        while True:
            found = self._folder.read_tagged(NAME)
            if found is None:
                self._renewed = time.monotonic()
                self._folder.create(NAME, self._body())
                continue
            body, etag = found
            holder = json.loads(body)
            if holder.get("token") == self._token:
                return etag
            if holder and watched and etag != watched:
                raise _in_use(self._folder, holder.get("holder", "another driver"), feed)
            if not watched and holder:
                log.info("checkpoint is leased, watching whether its holder lives", holder=holder["holder"])
                until, watched = time.monotonic() + EXPIRE_SECONDS, etag
            if holder and time.monotonic() < until:
                time.sleep(LOOK_SECONDS)
                continue
            self._renewed = time.monotonic()
            if taken := self._folder.replace(NAME, self._body(), etag):
                return taken
            watched = etag  # somebody else was faster

    def _renew(self) -> None:
        while not self._released.wait(RENEW_SECONDS):
            begun = time.monotonic()
            try:
                etag = self._folder.replace(NAME, self._body(), self._etag)
                if etag is None:
                    body, etag = self._folder.read_tagged(NAME) or (b"{}", "")
                    holder = json.loads(body)
                    if holder.get("token") != self._token:  # else it is ours, renewed by a PUT whose answer was lost
                        self._etag = ""
                        self._lost(holder.get("holder", "another driver"))
                        return
            except StorageError as error:
                log.warning("lease not renewed, trying again", error=str(error))
                continue
            self._etag, self._renewed = etag, begun

    def _body(self) -> bytes:
        return json.dumps({"holder": _holder(), "token": self._token, "renewed": time.time()}).encode()
