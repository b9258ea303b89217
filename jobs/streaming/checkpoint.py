"""The checkpoint folder: Spark's own files, and ours beside them.

streamscore.json   who this stream is: app id, feed, landing folder
lock, lease        held by the process that streams with it; the one in a local folder, the other in an object store
ledger             the files seen so far
models             from which micro-batch on which model version scores
troubles.json      what is wrong in the landing folder
refused            files that were refused as a whole
starting           there while a start is not ready to score: the newest micro-batch before it
"""

import json
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from schemas.errors import ConflictError, RecoveryError, StorageError
from schemas.feed import Feed
from streamscore.landing.ledger import NAME as LEDGER
from streamscore.landing.manifest import BatchManifest
from streamscore.storage import lease
from streamscore.storage.folder import Folder
from streamscore.tables.commit import committed
from streamscore.tables.tables import Tables

IDENTITY = "streamscore.json"
STARTING = "starting"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A stream's checkpoint.

    Attributes:
        app_id: what this checkpoint's micro-batches are called in the tables' transactions.
        is_new: made by this start.
    """

    folder: Folder
    app_id: str
    is_new: bool
    lease: lease.Lease

    def release(self) -> None:
        """Let another process have it."""
        self.lease.release()

    @property
    def last_offset(self) -> int:
        """The newest micro-batch in Spark's offset log, -1 if none."""
        return self._newest("offsets")

    @property
    def last_commit(self) -> int:
        """The newest micro-batch in Spark's commit log, -1 if none."""
        return self._newest("commits")

    def manifest(self, batch_id: int) -> BatchManifest:
        """What a micro-batch is made of, as Spark's offset log has it.

        Raises:
            RecoveryError: it does not.
        """
        text = self.folder.read(f"offsets/{batch_id}")
        try:
            return BatchManifest.from_log(text or b"")
        except (ValueError, KeyError, IndexError, TypeError) as error:
            msg = f"offsets/{batch_id} is {'missing' if text is None else 'damaged'}"
            raise self._broken(msg) from error

    def manifests(self, newest: int) -> Iterator[BatchManifest]:
        """Those of a micro-batch and of the ones before it, newest first, as far back as Spark keeps them."""
        for batch_id in range(newest, -1, -1):
            if self.folder.read(f"offsets/{batch_id}") is None:
                return
            yield self.manifest(batch_id)

    def note_start(self, newest: int) -> None:
        """What Spark plans after the micro-batch `newest` is nobody's until `note_ready`.

        Raises:
            StorageError: the checkpoint cannot be written.
        """
        with _writing(self.folder):
            self.folder.write(STARTING, str(newest).encode(), durable=True)

    def note_ready(self) -> None:
        """What Spark has planned is going to be scored."""
        self.folder.delete(STARTING)

    def discard_unscored_plan(self, tables: Tables) -> None:
        """Forget a micro-batch that an earlier start planned and was never ready to score: nothing of it is anywhere.

        So what lies in the landing folder now, and the model in Production now, decide anew.
        """
        before = self.folder.read(STARTING)
        if before is None:
            return
        newest = self.last_offset
        if newest <= max(int(before), self.last_commit):
            return
        done = tables.predictions.transaction(self.app_id) if tables.exists(tables.scored) else None
        if done is None or done < newest:
            self._forget(f"offsets/{newest}")

    def forget_torn(self, tables: Tables) -> list[str]:
        """Forget the newest files of Spark's logs, as far as a power cut emptied them; their names, oldest first.

        Spark syncs none of them. Without its commit a micro-batch runs again, and the tables say whether it is in.
        Without its plan it never was, unless it is in the tables: then its plan stays, to be refused.
        """
        there = {number for log in ("offsets", "commits") for number in self._numbers(log)}
        done = tables.predictions.transaction(self.app_id) if tables.exists(tables.scored) else None
        forgotten: list[str] = []
        for number in sorted(there, reverse=True):
            for name in (f"commits/{number}", f"offsets/{number}"):
                text = self.folder.read(name)
                if text is None:
                    continue
                if text.strip(b"\0") or (name.startswith("offsets") and done is not None and done >= number):
                    return forgotten[::-1]
                self._forget(name)
                forgotten.append(name)
        return forgotten[::-1]

    def assert_whole(self, tables: Tables) -> None:
        """Refuse a checkpoint that lost files, or that two drivers wrote: rows would be lost or scored twice.

        1. The tables are not ahead of it.  2. Spark's logs belong together; no power cut emptied their newest files.
        3. The ledger reaches up to them.  4. What Spark holds for done is in the tables, with the same files.

        Raises:
            RecoveryError: it is not; says what is missing and how to go on.
            ConflictError: another driver committed the newest micro-batch, or later ones.
        """
        offset, commit = self.last_offset, self.last_commit
        # 1
        self._assert_not_behind(max(offset, commit), tables)
        metadata = self.folder.read("metadata")
        if max(offset, commit) < 0 and metadata != b"":
            return
        # 2
        if not metadata:
            msg = f"metadata is {'missing' if metadata is None else 'empty'}"
            raise self._broken(msg)
        if commit > offset or commit < offset - 1:
            msg = f"the newest of offsets/ is {offset}, the newest of commits/ is {commit}"
            raise self._broken(msg)
        if offset >= 0:
            self.manifest(offset)
        if commit >= 0 and not self.folder.read(f"commits/{commit}"):
            msg = f"commits/{commit} is empty"
            raise self._broken(msg)
        # 3
        newest = deque(self.folder.open_journal(LEDGER).lines(), maxlen=1)
        last = json.loads(newest[0])["seq"] if newest else -1
        begun = self.manifest(commit) if commit >= 0 else BatchManifest(0)
        if last < begun.seq - 1:
            msg = f"the newest manifest of its ledger is {last}, wanted {begun.seq - 1} at least"
            raise self._broken(msg)
        # 4
        if commit >= 0 and not committed(commit, self.app_id, begun.digest, tables):
            msg = f"commits/{commit} says that micro-batch {commit} is done, the tables do not have it"
            raise self._broken(msg)

    def _assert_not_behind(self, newest: int, tables: Tables) -> None:
        done = tables.predictions.transaction(self.app_id) if tables.exists(tables.scored) else None
        if done is not None and done > newest:
            msg = (
                f"checkpoint {self.folder.uri} ends with micro-batch {newest}, the tables have its micro-batch {done}: "
                f"it is an older copy, or lost files; stop the driver of the newer one, or start over from the tables: "
                f"streamscore run FEED --recover"
            )
            raise ConflictError(msg)

    def _broken(self, found: str) -> RecoveryError:
        return RecoveryError(
            f"checkpoint {self.folder.uri} is not whole: {found}; "
            f"start over from the tables: streamscore run FEED --recover"
        )

    def _forget(self, name: str) -> None:
        """A file of Spark's logs, and first its checksum."""
        log, _, number = name.partition("/")
        self.folder.delete(f"{log}/.{number}.crc")
        self.folder.delete(name)

    def _newest(self, log: str) -> int:
        return max(self._numbers(log), default=-1)

    def _numbers(self, log: str) -> list[int]:
        return [int(name) for name in self.folder.names(log) if name.isdigit()]


def open_checkpoint(
    folder: Folder,
    feed: Feed,
    landing: str,
    *,
    recover: bool,
    leased: bool = True,
    lost: Callable[[str], None] = lambda _: None,
) -> Checkpoint:
    """The checkpoint in a folder, made with a new app id if there is none.

    With `recover` an existing one is set aside as `<folder>.<time>` first: the tables alone then say what is done.
    The checkpoint is this process's until it ends.

    Args:
        lost: called with the holder if another driver took the checkpoint away.

    Raises:
        TryAgainError: another process streams with it.
        RecoveryError: it is another feed's or landing folder's, or has lost its identity.
        StorageError: it cannot be written.
    """
    with _writing(folder):
        folder.make()
        held = _take(folder, feed, leased, lost)
        try:
            if recover and _set_aside(folder):
                held.release()
                held = _take(folder, feed, leased, lost)
            app_id, is_new = _identity(folder, feed, landing)
        except BaseException:
            held.release()
            raise
    return Checkpoint(folder, app_id, is_new, held)


def _take(folder: Folder, feed: Feed, leased: bool, lost: Callable[[str], None]) -> lease.Lease:
    return folder.take_lease(feed.name, lost) if leased else lease.NoLease()


def _set_aside(folder: Folder) -> bool:
    """Move a checkpoint away; whether the lease has to be taken anew."""
    aside = f"{folder.uri}.{time.strftime('%Y%m%dT%H%M%S')}"
    return folder.set_aside(aside, IDENTITY)  # the identity goes first: without it the rest is no checkpoint


def _identity(folder: Folder, feed: Feed, landing: str) -> tuple[str, bool]:
    """The app id, and whether it was made now."""
    wanted = {"feed": feed.name, "landing": landing}
    known = folder.read(IDENTITY)
    if known is not None:
        found = json.loads(known)
        for key, value in wanted.items():
            if found[key] != value:
                msg = (
                    f"checkpoint {folder.uri} belongs to {key} {found[key]}, wanted {value}; "
                    f"give each its own: --checkpoint DIR"
                )
                raise RecoveryError(msg)
        return found["app_id"], False
    if folder.names("offsets"):
        msg = (
            f"checkpoint {folder.uri} has micro-batches but no {IDENTITY}; "
            f"start over from the tables: streamscore run {feed.name} --recover"
        )
        raise RecoveryError(msg)
    app_id = str(uuid.uuid4())
    folder.write(IDENTITY, json.dumps({"app_id": app_id, **wanted}).encode(), durable=True)
    return app_id, True


@contextmanager
def _writing(folder: Folder) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        msg = f"checkpoint {folder.uri} cannot be written: {error.strerror or error}; look: streamscore doctor"
        raise StorageError(msg) from error
