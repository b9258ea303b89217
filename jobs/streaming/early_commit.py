"""The next micro-batch, committed as soon as Spark has written its offset: what it is made of is decided by then.

Spark plans it meanwhile, calls, and finds it done. A crash in between is like one right after the commit.
"""

import time

from jobs.streaming.micro_batch import MicroBatchProcessor
from jobs.streaming.score_batch import Scorer
from streamscore.landing.manifest import BatchManifest
from streamscore.storage.folder import Folder
from streamscore.tables.commit import DeltaRsWriter, Writer

POLL_SECONDS = 0.0003  # between two looks for the offset: Spark writes it in 3 ms
OFFSET_SECONDS = 5.0  # then it is left to Spark's call


class EarlyCommit:
    """Commits announced micro-batches; in the early thread, beside Spark's."""

    def __init__(self, batches: MicroBatchProcessor, folder: Folder, writer: Writer, scorer: Scorer) -> None:
        self._batches, self._scorer = batches, scorer
        self._offsets = folder
        # Looking for an offset in an object store costs a request each time, and Spark's writer is Spark's thread's.
        self._possible = not folder.is_remote and isinstance(writer, DeltaRsWriter)

    def __call__(self, manifest: BatchManifest) -> None:
        """Commit one micro-batch early, or leave it to Spark's call.

        1. Leave it if it is not the next one, or not the driver's.  2. Wait for its offset.  3. Process it, unless
        Spark's call was first or its offset names other files.
        """
        # 1
        batch_id, last = self._batches.next_id, self._batches.outcome.manifest  # in this order: Spark's thread goes on
        if not self._possible or batch_id is None or (last and manifest.seq != last.seq + 1):
            return
        if not self._scorer.in_driver(manifest):
            return
        # 2
        until = time.monotonic() + OFFSET_SECONDS
        while (offset := self._offsets.read(f"offsets/{batch_id}")) is None:
            if self._batches.stopping.wait(POLL_SECONDS) or time.monotonic() > until:
                return
        # 3
        self._batches.process_early(batch_id, manifest, offset)
