"""Scoring on executors: Spark carries references to files there and the parts' descriptions back, never rows."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
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
    from pyspark.sql import DataFrame, Row, SparkSession

_shipped: dict[tuple[str, str], str] = {}  # in the driver: application, model folder → its name on executors
_loaded: dict[tuple[str, str], Model] = {}  # in a worker, which is used again: name and feed → model, newest use last


Rows = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def score_on_executors(frame: "DataFrame", work: ScoringTask, model: Model) -> Parts:
    """Score the files of `frame` (one row each, the fields of `LandedFile`) on executors.

    Raises:
        ConflictError: they are not those of the batch.
        StreamscoreError: what was raised there; a StorageError where a file or a part failed, this time.
    """
    shipped = ship(frame.sparkSession, model, work.feed)
    return score_partitions(frame, work, lambda files: score_to_parts(files, work, shipped.load()))


def score_partitions(frame: "DataFrame", work: ScoringTask, score: Callable[[list[LandedFile]], Parts]) -> Parts:
    """The parts that a function makes of the files in each partition, there; `score_on_executors` says of what."""
    fail_point = armed()

    def score_partition(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        arm(*(fail_point or ("",)))
        files = [LandedFile(**row) for batch in batches for row in batch.to_pylist()]
        if files:
            parts = score(files)
            yield pa.RecordBatch.from_pylist([{"parts": parts.to_json(), "files": [_which(file) for file in files]}])

    rows = collect(frame, score_partition, "parts string, files array<string>")
    manifest = work.batch.manifest
    if sorted(file for row in rows for file in row["files"]) != sorted(_which(file) for file in manifest.files):
        msg = (
            f"micro-batch {work.batch.batch_id}: Spark has other files in memory than in its offset log, which another "
            f"driver wrote; stop one of them"
        )
        raise ConflictError(msg)
    return Parts.merge([Parts.from_json(row["parts"]) for row in rows])


def collect(frame: "DataFrame", rows: Rows, schema: str) -> "list[Row]":
    """What a function makes of each partition.

    Raises:
        StreamscoreError: what was raised there.
    """
    try:
        return frame.mapInArrow(rows, schema).collect()
    except Exception as error:  # as Spark tells of what was raised there
        if raised := raised_in_python(str(error)):
            raise raised from error
        raise


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
        model = _loaded.pop(self._key, None)
        for key in list(_loaded)[: max(0, len(_loaded) - self.others)]:
            del _loaded[key]
        if model is None:
            model = self.load_new()
        _loaded[self._key] = model
        return model

    def load_new(self) -> Model:
        """The model, out of its files."""
        from pyspark import SparkFiles

        return load_model(Path(SparkFiles.get(self._archive)), self._feed, self._identity)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shipped) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


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
