"""The checkpoint folder: Spark's own files, and ours beside them.

streamscore.json   who this stream is: app id, feed, landing folder
ledger.jsonl       the files seen so far
models.jsonl       from which micro-batch on which model version scores
models/            the files of accepted versions
"""

import json
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import RecoveryError
from schemas.feed import Feed

IDENTITY = "streamscore.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A stream's checkpoint.

    Attributes:
        app_id: what this checkpoint's micro-batches are called in the tables' transactions.
        is_new: made by this start.
        last_offset: the newest micro-batch that Spark has planned, -1 if none.
    """

    folder: Path
    app_id: str
    is_new: bool

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

    Raises:
        RecoveryError: it is another feed's or landing folder's, or has lost its identity.
    """
    if recover and folder.exists() and any(folder.iterdir()):
        folder.rename(folder.with_name(f"{folder.name}.{time.strftime('%Y%m%dT%H%M%S')}"))
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
        return Checkpoint(folder, found["app_id"], is_new=False)
    if (folder / "offsets").exists():
        raise RecoveryError(
            f"checkpoint {folder} has micro-batches but no {IDENTITY}; "
            f"start over from the tables: streamscore run {feed.name} --recover"
        )
    folder.mkdir(parents=True, exist_ok=True)
    app_id = str(uuid.uuid4())
    write_durably(identity, json.dumps({"app_id": app_id, **wanted}))
    return Checkpoint(folder, app_id, is_new=True)


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
