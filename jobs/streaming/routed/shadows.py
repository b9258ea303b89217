"""Candidates that are asked beside the stream, for rows that are committed: nothing of it is waited for.

A thread of its own reads the rows out of the parts that a commit has just listed, asks the shadows of their routes for
a part of the time, and appends both predictions to the table `shadows`. What it does not come to is not compared.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from jobs.streaming.routed.load import VersionLoader
from jobs.streaming.routed.snapshot import Snapshot
from schemas.errors import ContractError, StreamscoreError
from schemas.settings import Routing
from schemas.tables import SHADOWS, shadows_schema
from streamscore.models.cache import Limits, ModelCache
from streamscore.models.row_model import Model
from streamscore.registry.version_key import VersionKey
from streamscore.scoring.predict import predict_or_null
from streamscore.storage.places import open_folder
from streamscore.tables.make import make_table
from streamscore.tables.parts import Part, write_part
from streamscore.tables.tables import Tables

log = structlog.get_logger()

MOST_BATCHES = 1000  # that wait
MOST_MODELS = 4  # candidates in memory, in a quarter of the bytes, beside the models that score
STOP_SECONDS = 10.0  # for what waits when a run ends
KNOWN_SECONDS = 5.0  # between two looks which version a candidate is
ASKED, PASSED_OVER, FAILED = "asked", "passed_over", "failed"

Count = Callable[[str, int], None]
Resolve = Callable[[str], VersionKey]


@dataclass(frozen=True, slots=True)
class Committed:
    """A micro-batch that is in, and the routes that it had."""

    app_id: str
    batch_id: int
    parts: tuple[Part, ...]
    snapshot: Snapshot


class StreamShadows:
    """What a routed feed's stream asks its shadows."""

    def __init__(
        self, tables: Tables, loader: VersionLoader, resolve: Resolve, limits: Limits, settings: Routing, count: Count
    ) -> None:
        """Begin nothing yet.

        Args:
            resolve: the version that a URI stands for.
            count: is told of rows that were asked, passed over, or failed.
        """
        self._tables, self._resolve, self._settings, self._count = tables.reopen(), resolve, settings, count
        own = replace(limits, models=min(MOST_MODELS, limits.models), size=limits.size // 4)
        self._cache: ModelCache[VersionKey, Model] = ModelCache(loader, own)
        self._waiting: deque[Committed] = deque()
        self._some, self._stop, self._until = threading.Event(), threading.Event(), math.inf
        self._known: dict[str, tuple[VersionKey, float]] = {}  # URI → its version, and until when that is believed
        self._told: set[str] = set()  # candidates that cannot be asked, as the log says already
        self._thread = threading.Thread(target=self._run, name="shadows", daemon=True)

    def start(self) -> None:
        """Ask for what is committed from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Ask for what waits, for a few seconds; what is left is not compared."""
        self._until = time.monotonic() + STOP_SECONDS
        self._stop.set()
        self._some.set()
        if self._thread.ident is not None:
            self._thread.join(2 * STOP_SECONDS)  # a model that hangs keeps no run
        self._cache.close()

    def committed(self, done: Committed) -> None:
        """Take a micro-batch in; never waits."""
        if len(self._waiting) >= MOST_BATCHES:
            self._count(PASSED_OVER, sum(part.rows for part in done.parts))
            return
        self._waiting.append(done)
        self._some.set()

    def _run(self) -> None:
        while self._waiting or not self._stop.is_set():
            self._some.wait()
            self._some.clear()
            while self._waiting and time.monotonic() < self._until:
                begun = time.monotonic()
                self._compare(self._next())
                took = time.monotonic() - begun
                self._stop.wait(took * (1 / self._settings.shadow_share - 1))  # the rest is the stream's
            if time.monotonic() >= self._until:
                return

    def _next(self) -> list[Committed]:
        """Micro-batches that are compared together, so that many small ones make one commit."""
        some: list[Committed] = []
        while self._waiting and sum(part.rows for done in some for part in done.parts) < self._settings.shadow_rows:
            some.append(self._waiting.popleft())
        return some

    def _compare(self, some: Sequence[Committed]) -> None:
        try:
            compared = [rows for done in some for rows in self._of_batch(done)]
            if compared:
                self._append(pa.concat_tables(compared))
                self._count(ASKED, sum(len(rows) for rows in compared))
        except Exception as error:  # a trial ends no stream
            log.warning("shadow_failed", detail=str(error).partition("\n")[0])
            self._count(FAILED, sum(part.rows for done in some for part in done.parts))

    def _of_batch(self, done: Committed) -> Iterator[pa.Table]:
        folder, left = open_folder(self._tables.folders[0], self._tables.storage), self._settings.shadow_rows
        for part in done.parts:
            data = folder.read(part.path)
            if data is None:  # taken elsewhere already
                self._count(PASSED_OVER, part.rows)
                continue
            for uri, rows in self._wanted(pq.read_table(pa.BufferReader(data)), done.snapshot):
                if len(rows) > left:
                    self._count(PASSED_OVER, len(rows) - left)
                rows, left = rows.slice(0, left), max(0, left - len(rows))
                if len(rows):
                    yield from self._asked(uri, rows, done.app_id)

    def _wanted(self, rows: pa.Table, snapshot: Snapshot) -> Iterator[tuple[str, pa.Table]]:
        """The rows that each candidate is to be asked for."""
        column = self._tables.feed.routed_by
        assert column is not None
        values = rows[column.table_name].combine_chunks().dictionary_encode()
        of_value = [snapshot.shadow(str(value)) for value in values.dictionary.to_pylist()]
        of_row = np.array(of_value, object)[values.indices.to_numpy(zero_copy_only=False)]  # a scored row has a key
        for uri in dict.fromkeys(uri for uri in of_value if uri):
            yield uri, rows.filter(pa.array(of_row == uri))

    def _asked(self, uri: str, rows: pa.Table, app_id: str) -> Iterator[pa.Table]:
        try:
            with self._cache.lease(self._version(uri)) as model:
                if model.text_columns:
                    msg = f"model {model.identity.title} wants text of the files, which tables do not hold"
                    raise ContractError(msg)
                begun = time.perf_counter()
                predictions = predict_or_null(rows, model)
                seconds = (time.perf_counter() - begun) / len(rows)
                said = {
                    "app_id": app_id,
                    "candidate_name": model.name,
                    "candidate_version": model.version,
                    "candidate_seconds": seconds,
                    "asked_at": datetime.now(UTC),
                }
        except StreamscoreError as error:
            if uri not in self._told:
                log.warning("shadow_not_asked", model=uri, detail=str(error).partition("\n")[0])
            self._told.add(uri)
            self._count(FAILED, len(rows))
            return
        self._told.discard(uri)
        schema = shadows_schema(predictions.type)
        columns = [
            predictions
            if field.name == "candidate_prediction"
            else pa.repeat(pa.scalar(said[field.name], field.type), len(rows))
            if field.name in said
            else rows[field.name]
            for field in schema
        ]
        yield pa.table(columns, schema=schema)

    def _version(self, uri: str) -> VersionKey:
        key, until = self._known.get(uri, (None, 0.0))
        if key is None or time.monotonic() >= until:
            key = self._resolve(uri)
            self._known[uri] = key, time.monotonic() + KNOWN_SECONDS
        return key

    def _append(self, rows: pa.Table) -> None:
        tables = self._tables
        if not tables.exists(SHADOWS):
            make_table(tables.uri(SHADOWS), rows.schema, tables.storage)
        table = tables.log(SHADOWS)
        table.append([write_part(rows, table.folder)], "", 0, "")
