"""Scoring on executors: Spark carries references to files there and the parts' descriptions back, never rows."""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from schemas.errors import ConflictError, StorageError, raised_in_worker
from schemas.feed import Feed
from streamscore.failpoints import arm, armed
from streamscore.landing.manifest import LandedFile
from streamscore.models.row_model import Model, load_model
from streamscore.scoring.to_parts import score_to_parts
from streamscore.tables.batch import ScoringTask
from streamscore.tables.parts import Parts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_shipped: dict[tuple[str, str], str] = {}  # in the driver: application, model folder → its name on executors
_loaded: dict[str, Model] = {}  # in a worker: name → model; workers are used again for the next micro-batch


def score_on_executors(frame: "DataFrame", work: ScoringTask, model: Model) -> Parts:
    """Score the files of `frame` (one row each, the fields of `LandedFile`) on executors.

    Raises:
        ConflictError: they are not those of the batch.
        StorageError: a file could not be read, or a part not be written, this time.
    """
    shipped, fail_point = ship(frame.sparkSession, model), armed()

    def score_partition(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        arm(*(fail_point or ("",)))
        files = [LandedFile(**row) for batch in batches for row in batch.to_pylist()]
        if files:
            parts = score_to_parts(files, work, shipped.load(work.feed))
            yield pa.RecordBatch.from_pylist([{"parts": parts.to_json(), "files": [_which(file) for file in files]}])

    try:
        rows = frame.mapInArrow(score_partition, "parts string, files array<string>").collect()
    except Exception as error:  # as Spark tells of what was raised there
        if storage := raised_in_worker(str(error), StorageError):
            raise storage from error
        raise
    manifest = work.batch.manifest
    if sorted(file for row in rows for file in row["files"]) != sorted(_which(file) for file in manifest.files):
        msg = (
            f"micro-batch {work.batch.batch_id}: Spark has other files in memory than in its offset log, which another "
            f"driver wrote; stop one of them"
        )
        raise ConflictError(msg)
    return Parts.merge([Parts.from_json(row["parts"]) for row in rows])


def _which(file: LandedFile) -> str:
    return f"{file.path} {file.content}"


class Shipped:
    """A model version on its way to the executors, and there."""

    def __init__(self, archive: str, model: Model) -> None:
        self._archive, self._identity = archive, model.identity

    def load(self, feed: Feed) -> Model:
        """The model, loaded once in a worker's life."""
        from pyspark import SparkFiles

        if self._archive not in _loaded:
            folder = Path(SparkFiles.get(self._archive))
            _loaded[self._archive] = load_model(folder, feed, self._identity)
        return _loaded[self._archive]


def ship(spark: "SparkSession", model: Model) -> Shipped:
    """Send the verified files of a model version to every executor, once a version."""
    key = str(spark.sparkContext.applicationId), model.path
    if key not in _shipped:
        name = f"model-{len(_shipped)}-{os.getpid()}"
        archive = shutil.make_archive(model.path, "zip", model.path)  # stays: executors fetch it when they need it
        spark.sparkContext.addArchive(f"{archive}#{name}")
        _shipped[key] = name
    return Shipped(_shipped[key], model)
