"""The checkpoint folder: Spark's own files, and ours beside them.

streamscore.json   who this stream is: app id, feed, landing folder
lock               held by the process that streams with it
ledger.jsonl       the files seen so far
models.jsonl       from which micro-batch on which model version scores
models/            the files of accepted versions
"""

import fcntl
import json
import os
import socket
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import RecoveryError, TryAgainError
from schemas.feed import Feed

IDENTITY = "streamscore.json"
LOCK = "lock"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A stream's checkpoint.

    Attributes:
        app_id: what this checkpoint's micro-batches are called in the tables' transactions.
        is_new: made by this start.
    """

    folder: Path
    app_id: str
    is_new: bool
    _lock: int

    def release(self) -> None:
        """Let another process have it."""
        os.close(self._lock)

    @property
    def last_offset(self) -> int:
        """The newest micro-batch in Spark's offset log, -1 if none."""
        return _newest(self.folder / "offsets")

    @property
    def last_commit(self) -> int:
        """The newest micro-batch in Spark's commit log, -1 if none."""
        return _newest(self.folder / "commits")


def open_checkpoint(folder: Path, feed: Feed, landing: str, *, recover: bool) -> Checkpoint:
    """The checkpoint in a folder, made with a new app id if there is none.

    With `recover` an existing one is set aside as `<folder>.<time>` first: the tables alone then say what is done.
    The checkpoint is this process's until it ends.

    Raises:
        TryAgainError: another process streams with it.
        RecoveryError: it is another feed's or landing folder's, or has lost its identity.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = _lock(folder, feed)
    if recover and len(os.listdir(folder)) > 1:
        folder.rename(folder.with_name(f"{folder.name}.{time.strftime('%Y%m%dT%H%M%S')}"))
        folder.mkdir()
        os.close(lock)
        lock = _lock(folder, feed)
    identity = folder / IDENTITY
    wanted = {"feed": feed.name, "landing": landing}
    if identity.exists():
        found = json.loads(identity.read_text("utf-8"))
        for key, value in wanted.items():
            if found[key] != value:
                raise RecoveryError(
                    f"checkpoint {folder} belongs to {key} {found[key]}, wanted {value}; "
                    f"give each its own: --checkpoint DIR"
                )
        return Checkpoint(folder, found["app_id"], False, lock)
    if (folder / "offsets").exists():
        raise RecoveryError(
            f"checkpoint {folder} has micro-batches but no {IDENTITY}; "
            f"start over from the tables: streamscore run {feed.name} --recover"
        )
    app_id = str(uuid.uuid4())
    write_durably(identity, json.dumps({"app_id": app_id, **wanted}))
    return Checkpoint(folder, app_id, True, lock)


def _lock(folder: Path, feed: Feed) -> int:
    """An open file that the system unlocks when its process ends, however it does."""
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(handle, 100).decode() or "another process"
        os.close(handle)
        raise TryAgainError(
            f"checkpoint {folder} is in use by {holder}; stop it, look: streamscore status {feed.name}"
        ) from error
    os.truncate(handle, 0)
    os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
    return handle


def write_durably(path: Path, text: str) -> None:
    """Write a file whole or not at all, safe from a crash once this returns."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _newest(log: Path) -> int:
    return max((int(name) for name in os.listdir(log) if name.isdigit()), default=-1) if log.is_dir() else -1
