"""Where a micro-batch is scored: early, in the driver, or on executors."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from jobs.streaming.early import EarlyScoring, Scored
from schemas.settings import Streaming
from streamscore.forecasting.to_parts import SeriesScorer
from streamscore.landing.manifest import BatchManifest
from streamscore.models.load import LoadedModel
from streamscore.models.row_model import Model
from streamscore.models.series_model import SeriesModel
from streamscore.models.watch import ModelWatcher
from streamscore.registry.model_version import ModelVersion
from streamscore.scoring.to_parts import score_to_parts
from streamscore.spark.executors import score_on_executors
from streamscore.tables.batch import Batch, ScoringTask
from streamscore.tables.commit import Commit
from streamscore.tables.parts import Parts
from streamscore.tables.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """A micro-batch that is scored and not yet committed.

    Attributes:
        where: `driver` or `executors`.
        versions: of the models that scored it.
    """

    batch: Batch
    parts: Parts
    where: str
    versions: tuple[ModelVersion, ...]


class Scorer(Protocol):
    """Scores the micro-batches of one stream, one at a time."""

    def score(self, frame: "DataFrame | None", batch_id: int, manifest: BatchManifest) -> ScoredBatch:
        """Score a micro-batch with what is recorded for it; without a frame in the driver."""

    def score_early(self, batch_id: int | None, manifest: BatchManifest) -> Scored | None:
        """Score a micro-batch as it will probably be; None if it is to wait for its call."""

    def committed(self, done: Commit) -> None:
        """The micro-batch that was scored last is in."""

    def in_driver(self, manifest: BatchManifest) -> bool:
        """Whether the driver scores these files itself."""


class BatchScorer:
    """Scores the micro-batches of one stream, one at a time.

    `score` runs in the thread that processes the micro-batch, `score_early` in the early thread. What the second one
    scored goes to the first one through EarlyScoring, which lets in one of them at a time.
    """

    def __init__(
        self,
        streaming: Streaming,
        tables: Tables,
        *,
        app_id: str,
        landing: str,
        watcher: ModelWatcher,
        early: EarlyScoring,
    ) -> None:
        self._streaming, self._tables, self._app_id, self._landing = streaming, tables, app_id, landing
        self._watcher, self._early = watcher, early
        self._series = SeriesScorer(tables)

    def score(self, frame: "DataFrame | None", batch_id: int, manifest: BatchManifest) -> ScoredBatch:
        """Score a micro-batch with the model recorded for it; without a frame in the driver."""
        model = self._watcher.for_batch(batch_id)
        task = self._task(batch_id, manifest, model)
        where = "driver"
        if isinstance(model, SeriesModel):
            parts = self._series.score_to_parts(manifest.files, task, model)
        elif frame is None or self.in_driver(manifest):
            parts = self._early.take(task) or score_to_parts(manifest.files, task, model)
        else:
            parts, where = score_on_executors(frame, task, model), "executors"
        return ScoredBatch(task.batch, parts, where, (model.identity,))

    def score_early(self, batch_id: int | None, manifest: BatchManifest) -> Scored | None:
        """Score a micro-batch as it will probably be; None if it is to wait for its call."""
        model = self._watcher.ready
        if batch_id is None or not isinstance(model, Model) or not self.in_driver(manifest):
            return None
        task = self._task(batch_id, manifest, model)
        return task, score_to_parts(manifest.files, task, model)

    def committed(self, done: Commit) -> None:
        """The micro-batch that was scored last is in."""
        self._series.committed(done)

    def in_driver(self, manifest: BatchManifest) -> bool:
        """Whether the driver scores these files itself."""
        return in_driver(self._streaming, manifest)

    def _task(self, batch_id: int, manifest: BatchManifest, model: LoadedModel) -> ScoringTask:
        tables = self._tables
        batch = Batch(self._app_id, batch_id, manifest, model.identity)
        rows = self._streaming.chunk_rows
        return ScoringTask(tables.feed, batch, tables.folders, self._landing, rows, tables.storage)


def in_driver(streaming: Streaming, manifest: BatchManifest) -> bool:
    """Whether the driver scores files itself, by the settings."""
    if streaming.mode == "auto":
        return manifest.bytes <= streaming.driver_bytes
    return streaming.mode == "driver"
