"""Scoring a routed feed on executors: the driver learns which keys there are, and sends the models that they want."""

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from schemas.settings import Routing
from streamscore.landing.manifest import LandedFile
from streamscore.models.abreast import as_they_load
from streamscore.models.cache import Limits, Loaded, ModelCache, Reserve
from streamscore.models.lease import Lease
from streamscore.models.row_model import Model
from streamscore.reading.fetch import opener
from streamscore.reading.options import ReadOptions
from streamscore.scoring.routed import NoModel, Router, Target, routing_keys
from streamscore.scoring.to_parts import score_routed_to_parts
from streamscore.spark.before_start import this_machine
from streamscore.spark.executors import Shipped, collect, score_partitions, ship
from streamscore.tables.batch import ScoringTask
from streamscore.tables.parts import Parts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_caches: list["ModelCache[Shipped, Model]"] = []  # in a worker, which is used again: one, made at its first use


def score_routed_on_executors(frame: "DataFrame", work: ScoringTask, router: Router, limits: Limits) -> Parts:
    """As `score_on_executors`, in two passes over the files; the workers share the bytes of the limits.

    1. Which keys there are.  2. Load their models here, which says whether they fit, and send them.  3. Score.

    Raises:
        ConflictError: they are not the files of the batch.
        StreamscoreError: what was raised there, or a model cannot be had now.
    """
    # 1
    found = {key: router.find(key) for key in _keys(frame, work)}
    # 2
    wanted = dict.fromkeys(target for target in found.values() if isinstance(target, tuple))
    models: dict[Target, Shipped | NoModel] = {}
    text: frozenset[str] = frozenset()
    for target, model in router.ready(wanted):
        if isinstance(model, NoModel):
            models[target] = model
        else:
            models[target] = ship(frame.sparkSession, model, work.feed)
            text |= model.text_columns
    # 3
    workers = frame.sparkSession.sparkContext.defaultParallelism
    sent = ShippedRouter(found, models, text, replace(limits, size=limits.size // workers))
    return score_partitions(frame, work, lambda files: score_routed_to_parts(files, work, sent))


@dataclass
class ShippedRouter:
    """The models of the rows of one micro-batch, as the driver found them; picklable."""

    found: Mapping[str | None, Target | NoModel]
    models: Mapping[Target, Shipped | NoModel]
    text_columns: frozenset[str]
    limits: Limits

    def find(self, key: str | None) -> Target | NoModel:
        """What the driver found for a key."""
        return self.found[key]

    def ready(self, targets: Iterable[Target]) -> Iterator[tuple[Target, Model | NoModel]]:
        """As `Router.ready`, out of this worker's memory."""
        if not _caches:
            _caches.append(ModelCache(_load, self.limits))
        yield from as_they_load(targets, self._ask, _failed)

    def _ask(self, target: Target) -> "Future[Lease[Model]] | NoModel":
        sent = self.models[target]
        return sent if isinstance(sent, NoModel) else _caches[0].ask(sent)


def model_memory(routing: Routing) -> int:
    """Bytes for the models of a routed feed, of a driver or of all workers of a machine."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return routing.max_model_bytes or min(this_machine().memory or machine, machine) // 4


def _load(sent: Shipped, reserve: Reserve) -> Loaded[Model]:  # noqa: ARG001  its files are there, and were loaded before
    model = sent.load_new()
    return Loaded(model, model.memory())


def _failed(_: Target, error: Exception) -> None:
    raise error


def _keys(frame: "DataFrame", work: ScoringTask) -> set[str | None]:
    def keys_of(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        files = [LandedFile(**row) for batch in batches for row in batch.to_pylist()]
        if files:
            with opener(files, work.storage) as open_landed:
                options = ReadOptions(work.landing, work.chunk_rows, open_landed=open_landed)
                keys = routing_keys(files, work.feed, options)
            yield pa.RecordBatch.from_pydict({"key": pa.array(list(keys), pa.string())})

    return {row["key"] for row in collect(frame, keys_of, "key string")}
