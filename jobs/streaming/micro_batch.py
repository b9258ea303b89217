"""The micro-batch, from its offset to its commit: what Spark's `foreachBatch` calls."""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from jobs.streaming.checkpoint import Checkpoint
from jobs.streaming.progress import BatchDone
from jobs.streaming.report import batch_done
from jobs.streaming.score_batch import ScoredBatch, Scorer
from schemas.errors import NoRoomError, RecoveryError, RegistryError, StorageError, StreamscoreError
from streamscore.failpoints import fail_at
from streamscore.landing.archive import Archive
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.storage.retry import retry_storage
from streamscore.tables.commit import Writer, commit, committed
from streamscore.tables.discard import discard_uncommitted
from streamscore.tables.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


# What may pass of a routed feed, whose models are loaded when rows want them.
PASSING = (StorageError, RegistryError, NoRoomError)


class Outcome(NamedTuple):
    """How far the micro-batches came, and what ended them.

    Attributes:
        batch_id: the newest micro-batch that is committed, -1 if none.
        manifest: what it is made of; None if none.
        error: what ended the stream, if one of our own errors did.
        turned_away: Spark's call of a micro-batch came after `finish`, which ended the query.
    """

    batch_id: int = -1
    manifest: BatchManifest | None = None
    error: StreamscoreError | None = None
    turned_away: bool = False


class MicroBatchProcessor:
    """The micro-batches of one stream, one at a time.

    Two threads come here: Spark's with its call of each micro-batch, and the early thread, which takes the next one as
    soon as Spark has written its offset (early_commit.py). A lock lets in one of them; the other one finds the
    micro-batch done, or leaves it.

    Attributes:
        outcome: replaced as a whole, so that any thread may read it.
        stopping: set by `finish`.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        tables: Tables,
        writer: Writer,
        *,
        scorer: Scorer,
        archive: Archive,
        report: Callable[[BatchDone], None],
        first: int | None = None,
    ) -> None:
        """Begin nothing yet.

        Args:
            first: the number of the next micro-batch; None while that is a replay, which the source does not name.
        """
        self._checkpoint, self._tables, self._writer = checkpoint, tables, writer
        self._scorer, self._archive, self._report = scorer, archive, report
        self._first = first
        self._running = threading.Lock()
        self.stopping, self._finished = threading.Event(), threading.Event()
        self.outcome = Outcome()
        self._uncommitted: ScoredBatch | None = None

    def __call__(self, frame: "DataFrame", batch_id: int) -> None:
        """One micro-batch, exactly once; in Spark's thread.

        1. What it is made of.  2. Nothing to do if it is in.  3. Score it with the model recorded for it.
        4. Commit it.  5. Report it.  A crash anywhere is repaired by the same call again, which is also what is done
        for `storage.retry_seconds` where storage fails, or a model of a routed feed is away.
        """
        while not self._running.acquire(timeout=0.1):
            if self._is_in(batch_id):  # `finish` keeps the lock, and Spark has yet to learn that this one is in
                return
            if self._finished.is_set():  # Spark waits for this call, so it may not wait for the end
                self.outcome = self.outcome._replace(turned_away=True)
                msg = f"the stream is stopping; micro-batch {batch_id} is the next start's"
                raise RuntimeError(msg)
        begun = time.time()
        try:
            if not self._is_in(batch_id):
                retry_storage(
                    self._tables.storage.retry_seconds,
                    lambda: self._process(batch_id, self._manifest(frame, batch_id), frame, begun),  # 1
                    stop=self.stopping,
                    passing=PASSING if self._tables.feed.routing else StorageError,
                )
            fail_at("spark_commit:before", batch_id)
        except StreamscoreError as error:
            self.outcome = self.outcome._replace(error=error)
            if self._uncommitted is not None:
                discard_uncommitted(self._uncommitted.parts, self._tables)
            raise
        finally:
            self._running.release()

    def process_early(self, batch_id: int, manifest: BatchManifest, offset: bytes) -> None:
        """The same before Spark's call; in the early thread.

        Nothing is done where Spark's call was first, where the stream ends, or where the offset names other files.
        """
        if not self._running.acquire(blocking=False):
            return
        try:
            if not self._is_in(batch_id) and BatchManifest.from_log(offset) == manifest:
                self._process(batch_id, manifest, None, time.time())
        finally:
            self._running.release()

    def finish(self) -> None:
        """Wait for the micro-batch that is running, and begin no other; called once."""
        self.stopping.set()
        self._running.acquire()
        self._finished.set()

    @property
    def next_id(self) -> int | None:
        """The number of the next micro-batch; None while that is a replay."""
        return self._first if self.outcome.manifest is None else self.outcome.batch_id + 1

    def _process(self, batch_id: int, manifest: BatchManifest, frame: "DataFrame | None", begun: float) -> None:
        """Steps 2 to 5, in the thread that has the lock; without a frame in the driver."""
        fail_at("offset:after", batch_id)
        scored = None
        # 2
        if not committed(batch_id, self._checkpoint.app_id, manifest.digest, self._tables):
            # 3
            scored = self._scored_before(batch_id, manifest) or self._scorer.score(frame, batch_id, manifest)
            self._uncommitted = scored
            fail_at("parts:after", batch_id)
            # 4
            self._archive.note_refused(scored.parts.refused)
            self._checkpoint.lease.assert_held()
            self._scorer.committed(commit(scored.parts, scored.batch, self._tables, self._writer))
            self._uncommitted = None
        # 5
        self._report(batch_done(batch_id, manifest, scored, begun))
        self.outcome = self.outcome._replace(batch_id=batch_id, manifest=manifest)

    def _scored_before(self, batch_id: int, manifest: BatchManifest) -> ScoredBatch | None:
        """What a try left whose commit failed: a disk that is full would get a copy of the parts with each try."""
        left = self._uncommitted
        same = left is not None and (left.batch.batch_id, left.batch.manifest) == (batch_id, manifest)
        return left if same else None

    def _is_in(self, batch_id: int) -> bool:
        return self.outcome.batch_id >= batch_id

    def _manifest(self, frame: "DataFrame", batch_id: int) -> BatchManifest:
        """From the offset that Spark wrote before it called us: no Spark job for a small batch.

        Where the file reads otherwise, the DataFrame says the same for 30-45 ms.

        Raises:
            RecoveryError: the offset was not written, so that nothing says what the batch is made of.
        """
        text = self._checkpoint.folder.read(f"offsets/{batch_id}")
        if text is None:
            msg = f"Spark wrote no offsets/{batch_id} in {self._checkpoint.folder.uri}; start again"
            raise RecoveryError(msg)
        try:
            return BatchManifest.from_log(text)
        except (ValueError, KeyError, IndexError, TypeError):
            files = tuple(LandedFile(**row.asDict()) for row in frame.collect())
            return BatchManifest(batch_id + 1, files)
