"""The micro-batch, from its offset to its commit: what Spark's `foreachBatch` calls."""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobs.streaming.checkpoint import Checkpoint
from jobs.streaming.early import EarlyScoring
from jobs.streaming.progress import BatchDone
from schemas.errors import RecoveryError, StreamscoreError
from schemas.feed import Feed
from schemas.settings import Streaming
from streamscore.failpoints import fail_at
from streamscore.forecasting.to_parts import SeriesScorer
from streamscore.landing.archive import Archive
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.models.load import LoadedModel
from streamscore.models.row_model import Model
from streamscore.models.series_model import SeriesModel
from streamscore.models.watch import ModelWatcher
from streamscore.scoring.to_parts import score_to_parts
from streamscore.spark.executors import score_on_executors
from streamscore.storage.retry import retry_storage
from streamscore.tables.batch import Batch, ScoringTask
from streamscore.tables.commit import DeltaRsWriter, Writer, commit, committed
from streamscore.tables.parts import Parts
from streamscore.tables.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Report = Callable[[BatchDone], None]

POLL_SECONDS = 0.0003  # between two looks for the offset of what was scored ahead: Spark writes it in 3 ms
OFFSET_SECONDS = 5.0  # then it is left to Spark's call


class MicroBatchProcessor:
    """The micro-batches of one stream, one at a time.

    Attributes:
        error: what ended the stream, if one of our own errors did.
        turned_away: Spark's call of a micro-batch came after `finish`, which ended the query.
        last: the newest manifest that is committed.
    """

    def __init__(
        self,
        feed: Feed,
        streaming: Streaming,
        *,
        checkpoint: Checkpoint,
        landing: str,
        tables: Tables,
        writer: Writer,
        follower: ModelWatcher,
        ahead: EarlyScoring,
        archive: Archive,
        report: Report,
        first: int | None = None,
    ) -> None:
        """Begin to score and commit ahead.

        Args:
            first: the number of the next micro-batch; None while that is a replay, which the source does not name.
        """
        self._feed, self._streaming = feed, streaming
        self._checkpoint, self._app_id, self._landing = checkpoint, checkpoint.app_id, landing
        self._tables, self._writer, self._follower = tables, writer, follower
        self._ahead, self._archive, self._report = ahead, archive, report
        self._forecasts = SeriesScorer(tables)
        self._first = first
        self._running = threading.Lock()
        self._stopping, self._finished = threading.Event(), threading.Event()
        self.error: Exception | None = None
        self.turned_away = False
        self.last: tuple[int, BatchManifest] | None = None
        ahead.listen(self._score_ahead, self._commit_ahead)

    def __call__(self, frame: "DataFrame", batch_id: int) -> None:
        """One micro-batch, exactly once.

        1. What it is made of.  2. Nothing to do if it is in.  3. Score it with the model recorded for it.
        4. Commit it.  A crash anywhere is repaired by the same call again, which is also what is done for
        `storage.retry_seconds` where storage fails.
        """
        while not self._running.acquire(timeout=0.1):
            if self._is_in(batch_id):  # `finish` keeps the lock, and Spark has yet to learn that this one is in
                return
            if self._finished.is_set():  # Spark waits for this call, so it may not wait for the end
                self.turned_away = True
                raise RuntimeError(f"the stream is stopping; micro-batch {batch_id} is the next start's")
        begun = time.time()
        try:
            if not self._is_in(batch_id):
                retry_storage(
                    self._tables.storage.retry_seconds,
                    lambda: self._run(batch_id, self._manifest(frame, batch_id), frame, begun),  # 1
                    stop=self._stopping,
                )
            fail_at("spark_commit:before", batch_id)
        except StreamscoreError as error:
            self.error = error
            raise
        finally:
            self._running.release()

    def finish(self) -> None:
        """Wait for the micro-batch that is running, and begin no other; called once."""
        self._stopping.set()
        self._running.acquire()
        self._finished.set()

    def _run(self, batch_id: int, manifest: BatchManifest, frame: "DataFrame | None", begun: float) -> None:
        """Steps 2 to 4; without a frame in the driver."""
        fail_at("offset:after", batch_id)
        if committed(batch_id, self._app_id, manifest.digest, self._tables):  # 2
            self._report(_done(batch_id, manifest, None, None, begun, "skipped"))
        else:
            self._score_and_commit(frame, batch_id, manifest, begun)  # 3, 4
        self.last = batch_id, manifest

    @property
    def _next(self) -> int | None:
        return self.last[0] + 1 if self.last else self._first

    def _is_in(self, batch_id: int) -> bool:
        return self.last is not None and self.last[0] >= batch_id

    def _score_and_commit(
        self, frame: "DataFrame | None", batch_id: int, manifest: BatchManifest, begun: float
    ) -> None:
        model = self._follower.for_batch(batch_id)
        work = self._work(batch_id, manifest, model)
        where = "driver"
        if isinstance(model, SeriesModel):
            parts = self._forecasts.score_to_parts(manifest.files, work, model)
        elif frame is None or self._in_driver(manifest):
            parts = self._ahead.take(work) or score_to_parts(manifest.files, work, model)
        else:
            parts, where = score_on_executors(frame, work, model), "executors"
        fail_at("parts:after", batch_id)
        self._archive.note_refused(parts.refused)
        self._checkpoint.lease.assert_held()
        self._forecasts.committed(commit(parts, work.batch, self._tables, self._writer))
        self._report(_done(batch_id, manifest, parts, model, begun, where))

    def _score_ahead(self, manifest: BatchManifest) -> tuple[ScoringTask, Parts] | None:
        """The next micro-batch as it will probably be."""
        model, batch_id = self._follower.ready, self._next
        if batch_id is None or not isinstance(model, Model) or not self._in_driver(manifest):
            return None
        work = self._work(batch_id, manifest, model)
        return work, score_to_parts(manifest.files, work, model)

    def _commit_ahead(self, manifest: BatchManifest) -> None:
        """The next micro-batch, from when Spark has written its offset: what it is made of is decided by then.

        Spark plans it meanwhile, calls, and finds it done. A crash in between is like one right after the commit.
        """
        folder, last, batch_id = self._checkpoint.folder, self.last, self._next
        if batch_id is None or (last and manifest.seq != last[1].seq + 1) or not self._in_driver(manifest):
            return
        if folder.is_remote or not isinstance(self._writer, DeltaRsWriter):
            return
        until = time.monotonic() + OFFSET_SECONDS
        while (text := folder.read(f"offsets/{batch_id}")) is None:
            if self._stopping.wait(POLL_SECONDS) or time.monotonic() > until:
                return
        if not self._running.acquire(blocking=False):  # Spark's call was first, or the stream ends
            return
        try:
            if not self._is_in(batch_id) and BatchManifest.from_log(text) == manifest:
                self._run(batch_id, manifest, None, time.time())
        finally:
            self._running.release()

    def _work(self, batch_id: int, manifest: BatchManifest, model: LoadedModel) -> ScoringTask:
        batch = Batch(self._app_id, batch_id, manifest, model.name, model.version, model.run_id)
        rows, storage = self._streaming.chunk_rows, self._tables.storage
        return ScoringTask(self._feed, batch, self._tables.folders, self._landing, rows, storage)

    def _in_driver(self, manifest: BatchManifest) -> bool:
        if self._streaming.mode == "auto":
            return manifest.bytes <= self._streaming.driver_bytes
        return self._streaming.mode == "driver"

    def _manifest(self, frame: "DataFrame", batch_id: int) -> BatchManifest:
        """From the offset that Spark wrote before it called us: no Spark job for a small batch.

        Where the file reads otherwise, the DataFrame says the same for 30-45 ms.

        Raises:
            RecoveryError: the offset was not written, so that nothing says what the batch is made of.
        """
        text = self._checkpoint.folder.read(f"offsets/{batch_id}")
        if text is None:
            raise RecoveryError(f"Spark wrote no offsets/{batch_id} in {self._checkpoint.folder.uri}; start again")
        try:
            return BatchManifest.from_log(text)
        except (ValueError, KeyError, IndexError, TypeError):
            files = tuple(LandedFile(**row.asDict()) for row in frame.collect())
            return BatchManifest(batch_id + 1, files)


def _done(
    batch_id: int, manifest: BatchManifest, parts: Parts | None, model: LoadedModel | None, begun: float, where: str
) -> BatchDone:
    now = time.time()
    found = min((f.found for f in manifest.files), default=0) / 1e9
    return BatchDone(
        batch_id=batch_id,
        files=len(manifest.files),
        rows=sum(c.predictions for c in parts.counts.values()) if parts else 0,
        rejects=sum(parts.reasons.values()) if parts else 0,
        reasons=parts.reasons if parts else {},
        model_name=model.name if model else "",
        model_version=model.version if model else "",
        seconds=now - begun,
        lag=now - found if found else 0.0,
        where=where,
    )
