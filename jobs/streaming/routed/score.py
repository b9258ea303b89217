"""The micro-batches of a routed feed: scored early, in the driver, or on executors."""

from typing import TYPE_CHECKING

from jobs.streaming.early import EarlyScoring, Scored
from jobs.streaming.routed.models import RoutedModels
from jobs.streaming.routed.shadows import Committed, StreamShadows
from jobs.streaming.routed.snapshot import SnapshotRouter
from jobs.streaming.score_batch import ScoredBatch, in_driver
from schemas.settings import Streaming
from streamscore.landing.manifest import BatchManifest
from streamscore.scoring.to_parts import score_routed_to_parts
from streamscore.spark.routed_executors import score_routed_on_executors
from streamscore.tables.batch import Batch, ScoringTask
from streamscore.tables.commit import Commit
from streamscore.tables.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class RoutedScorer:
    """As `BatchScorer`, for a feed whose rows are scored by many models.

    What the early thread scored is taken up if neither routes nor versions changed since.
    """

    def __init__(
        self,
        streaming: Streaming,
        tables: Tables,
        *,
        app_id: str,
        landing: str,
        models: RoutedModels,
        early: EarlyScoring,
        shadows: StreamShadows | None = None,
    ) -> None:
        self._streaming, self._tables, self._app_id, self._landing = streaming, tables, app_id, landing
        self._models, self._early, self._shadows = models, early, shadows
        self._scored: Committed | None = None  # last
        self._ahead: SnapshotRouter | None = None

    def score(self, frame: "DataFrame | None", batch_id: int, manifest: BatchManifest) -> ScoredBatch:
        """Score a micro-batch by the routes and versions recorded for it, else by the newest; then record them.

        Raises:
            RegistryError: a model cannot be had now; the same call again may do.
        """
        router = self._models.router(batch_id)
        task, where = self._task(batch_id, manifest, router), "driver"
        if frame is None or self.in_driver(manifest):
            parts = self._early.take(task)
            if parts is not None and self._ahead is not None:
                router = self._ahead
            else:
                parts = score_routed_to_parts(manifest.files, task, router)
        else:
            parts, where = score_routed_on_executors(frame, task, router, self._models.limits), "executors"
        self._models.note(batch_id, router)
        self._scored = Committed(self._app_id, batch_id, parts.predictions, router.snapshot)
        versions = tuple(dict.fromkeys(key.model for key in router.used.values()))
        return ScoredBatch(task.batch, parts, where, versions)

    def score_early(self, batch_id: int | None, manifest: BatchManifest) -> Scored | None:
        """Score a micro-batch as it will probably be; None if it is to wait for its call."""
        if batch_id is None or not self.in_driver(manifest):
            return None
        router = self._models.router(batch_id)
        task = self._task(batch_id, manifest, router)
        parts = score_routed_to_parts(manifest.files, task, router)
        self._ahead = router
        return task, parts

    def committed(self, done: Commit) -> None:
        """The micro-batch that was scored last is in: its shadows may be asked."""
        scored = self._scored
        if scored and self._shadows and scored.snapshot.table.has_shadows and not done.skipped:
            self._shadows.committed(scored)

    def in_driver(self, manifest: BatchManifest) -> bool:
        """Whether the driver scores these files itself."""
        return in_driver(self._streaming, manifest)

    def _task(self, batch_id: int, manifest: BatchManifest, router: SnapshotRouter) -> ScoringTask:
        tables = self._tables
        batch = Batch(self._app_id, batch_id, manifest, None)
        rows, number = self._streaming.chunk_rows, router.snapshot.number
        return ScoringTask(tables.feed, batch, tables.folders, self._landing, rows, tables.storage, number)
