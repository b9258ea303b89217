"""Scoring on executors: Spark carries references to files there and the parts' descriptions back, never rows."""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from schemas.errors import ConflictError
from schemas.feed import Feed
from streamscore.failpoints import arm, armed
from streamscore.landing.manifest import LandedFile
from streamscore.models.row_model import Model, load_model
from streamscore.scoring.to_parts import score_to_parts
from streamscore.spark.python_error import raised_in_python
from streamscore.tables.batch import ScoringTask
from streamscore.tables.parts import Parts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_shipped: dict[tuple[str, str], str] = {}  # in the driver: application, model folder → its name on executors
_loaded: dict[tuple[str, str], Model] = {}  # in a worker, which is used again: name and feed → model, newest use last


def score_on_executors(frame: "DataFrame", work: ScoringTask, model: Model) -> Parts:
    """Score the files of `frame` (one row each, the fields of `LandedFile`) on executors.

    Raises:
        ConflictError: they are not those of the batch.
        StreamscoreError: what was raised there; a StorageError where a file or a part failed, this time.
    """
    shipped, fail_point = ship(frame.sparkSession, model, work.feed), armed()

    def score_partition(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        arm(*(fail_point or ("",)))
        files = [LandedFile(**row) for batch in batches for row in batch.to_pylist()]
        if files:
            parts = score_to_parts(files, work, shipped.load())
            yield pa.RecordBatch.from_pylist([{"parts": parts.to_json(), "files": [_which(file) for file in files]}])

    try:
        rows = frame.mapInArrow(score_partition, "parts string, files array<string>").collect()
    except Exception as error:  # as Spark tells of what was raised there
        if raised := raised_in_python(str(error)):
            raise raised from error
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
    """A model version on its way to the executors, and there.

    Attributes:
        others: versions that a worker keeps beside this one: none for a stream, which goes from one to the next; some
            for UDFs, of which one query may have several.
    """

    def __init__(self, archive: str, model: Model, feed: Feed, others: int) -> None:
        self._archive, self._identity, self._feed, self.others = archive, model.identity, feed, others
        self._key = archive, feed.model_dump_json()

    def load(self) -> Model:
        """The model, loaded once in a worker for as long as it is among those used last."""
        from pyspark import SparkFiles

        model = _loaded.pop(self._key, None)
        for key in list(_loaded)[: max(0, len(_loaded) - self.others)]:
            del _loaded[key]
        if model is None:
            model = load_model(Path(SparkFiles.get(self._archive)), self._feed, self._identity)
        _loaded[self._key] = model
        return model


def ship(spark: "SparkSession", model: Model, feed: Feed, others: int = 0) -> Shipped:
    """Send the verified files of a model version to every executor, once a version.

    Args:
        others: as of `Shipped`.
    """
    key = str(spark.sparkContext.applicationId), model.path
    if key not in _shipped:
        name = f"model-{len(_shipped)}-{os.getpid()}"
        archive = shutil.make_archive(model.path, "zip", model.path)  # stays: executors fetch it when they need it
        spark.sparkContext.addArchive(f"{Path(archive).absolute().as_uri()}#{name}")
        _shipped[key] = name
    return Shipped(_shipped[key], model, feed, others)
