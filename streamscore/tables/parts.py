"""Parquet parts of a micro-batch: written by whoever scores, in the tables only once they are committed."""

import contextlib
import json
import time
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.errors import StorageError
from schemas.tables import QUARANTINE_SCHEMA, forecasts_schema, predictions_schema
from streamscore.failpoints import fail_at
from streamscore.landing.manifest import source_file
from streamscore.storage.folder import Folder
from streamscore.storage.places import open_folder
from streamscore.tables.batch import Counts
from streamscore.tables.delta_statistics import delta_statistics, with_bounds

if TYPE_CHECKING:
    from streamscore.tables.batch import ScoringTask

PART_BYTES = 64 * 2**20  # of Arrow memory in one part: bounds what a writer holds; about 15-40 MB of Parquet


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file.

    Attributes:
        path: its name in the folder it was written to.
        size: bytes.
        modified: milliseconds since 1970.
        rows: of landed files; an observation is one, whatever the number of its forecasts.
        stats: Delta's statistics, JSON.
    """

    path: str
    size: int
    modified: int
    rows: int
    stats: str


@dataclass(frozen=True)
class Parts:
    """What scoring a batch, or some of its files, left to be committed.

    Attributes:
        counts: by file URI, for every file that gave rows or rejects.
        reasons: rejects by reason code, rows; a file without any, or that cannot be counted, is 1.
        refused: URIs of the files that were refused as a whole.
        truncated: how many times lost digits of a second (`csv.fractions`).
    """

    predictions: tuple[Part, ...] = ()
    rejects: tuple[Part, ...] = ()
    counts: dict[str, Counts] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    truncated: int = 0

    @classmethod
    def merge(cls, several: Iterable["Parts"]) -> Self:
        """All parts of a batch whose files were scored in several places."""
        merged = list(several)
        counts: dict[str, Counts] = {}
        reasons: dict[str, int] = {}
        for parts in merged:
            for path, of_file in parts.counts.items():
                counts[path] = counts.get(path, Counts()).plus(of_file.predictions, of_file.rejects)
            for reason, rows in parts.reasons.items():
                reasons[reason] = reasons.get(reason, 0) + rows
        return cls(
            tuple(part for parts in merged for part in parts.predictions),
            tuple(part for parts in merged for part in parts.rejects),
            counts,
            reasons,
            tuple(sorted({path for parts in merged for path in parts.refused})),
            sum(parts.truncated for parts in merged),
        )

    def to_json(self) -> str:
        """As text: parts come back from executors as rows of one string column."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The parts in a text that `to_json` made."""
        body: dict[str, Any] = json.loads(text)
        return cls(
            tuple(Part(**part) for part in body["predictions"]),
            tuple(Part(**part) for part in body["rejects"]),
            {path: Counts(**counts) for path, counts in body["counts"].items()},
            body["reasons"],
            tuple(body["refused"]),
            body["truncated"],
        )


def write_part(table: pa.Table, folder: Folder, rows: int | None = None, *, durable: bool = False) -> Part:
    """Write a table as one new Parquet file with Delta's statistics.

    Args:
        rows: of landed files, where they are not those of the table.
        durable: safe from a power cut on return.

    Raises:
        StorageError: the folder cannot be written; names the file.
    """
    name = f"part-{uuid.uuid4()}.parquet"
    written: list[pq.FileMetaData] = []
    content = pa.BufferOutputStream()
    # 100 rows: snappy 0.7 ms, 15 KB; zstd 1.5 ms, 15 KB. 65,536 rows: snappy 33 ms, 2.4 MB; zstd 36 ms, 2.0 MB;
    # none 30 ms, 3.0 MB. Arrow's own schema, which no reader of Delta looks at, would be 2.7 KB more.
    pq.write_table(
        table,
        content,
        compression="snappy",
        store_schema=False,
        write_statistics=with_bounds(table),
        metadata_collector=written,
    )
    data = memoryview(content.getvalue())
    try:
        folder.write(name, data, durable=durable)
    except OSError as error:
        msg = f"cannot write {folder.uri}/{name}: {error.strerror or error}; check space and rights: streamscore doctor"
        raise StorageError(msg) from error
    modified, stats = time.time_ns() // 1_000_000, delta_statistics(table, written[0])
    return Part(name, len(data), modified, table.num_rows if rows is None else rows, stats)


def discard(parts: Parts, work: "ScoringTask") -> None:
    """Delete parts that are not to be committed."""
    for uri, written in zip(work.folders, (parts.predictions, parts.rejects), strict=True):
        folder = open_folder(uri, work.storage)
        for part in written:
            _delete(part, folder)


class PartsWriter:
    """Chunks of scored rows in, parts of bounded size out; holds at most PART_BYTES and a chunk of each table.

    Every row that is added is in exactly one part of what `finish` returns. Nothing is in the tables yet.
    """

    def __init__(self, work: "ScoringTask", part_bytes: int = PART_BYTES) -> None:
        batch = work.batch
        self._batch = batch
        self._names = {source_file(file, work.landing): file.path for file in batch.manifest.files}
        predictions, rejects = (open_folder(folder, work.storage) for folder in work.folders)
        self._predictions = _Pile(predictions, part_bytes, batch.batch_id)
        self._rejects = _Pile(rejects, part_bytes, batch.batch_id)
        self._feed = work.feed
        self._counts: dict[str, Counts] = {}
        self._reasons: dict[str, int] = {}
        self._refused: set[str] = set()
        self._truncated = 0

    def add(self, predictions: pa.Table, rejects: pa.Table, truncated: int = 0) -> None:
        """Take one chunk: predictions with source columns, rejects as REJECTS_SCHEMA; how many times were truncated.

        A column of the tables that a chunk brings itself, as those of the model, is taken; else it is the batch's.
        """
        self._truncated += truncated
        if predictions.num_rows:
            of_files = predictions
            if self._feed.kind == "series":
                schema = forecasts_schema(self._feed)
                of_files = of_files.filter(pc.field("step") <= 1)
            else:
                schema = predictions_schema(self._feed, of_files.schema.field("prediction").type)
            self._predictions.add(_with_columns(predictions, schema, self._lineage()), of_files.num_rows)
            for name, rows in _value_counts(of_files["source_file"]):
                self._count(name, rows, 0)
        if rejects.num_rows:
            self._rejects.add(_with_columns(rejects, QUARANTINE_SCHEMA, self._lineage()), rejects.num_rows)
            self._count_rejects(rejects)

    def finish(self) -> Parts:
        """Write what is left, and say what was written."""
        predictions, rejects = self._predictions.finish(), self._rejects.finish()
        refused = tuple(sorted(self._refused))
        return Parts(predictions, rejects, self._counts, self._reasons, refused, self._truncated)

    def discard(self) -> None:
        """Delete what was written: these chunks are not to be committed."""
        self._predictions.discard()
        self._rejects.discard()

    def _lineage(self) -> dict[str, Any]:
        batch, model, now = self._batch, self._batch.model, datetime.now(UTC)
        return {
            "app_id": batch.app_id,
            "batch_id": batch.batch_id,
            "model_name": model.name if model else None,
            "model_version": model.version if model else None,
            "model_run_id": model.run_id if model else None,
            "predicted_at": now,
            "quarantined_at": now,
            "replayed_as": None,
        }

    def _count(self, name: str, predictions: int, rejects: int | None) -> None:
        path = self._names[name]
        self._counts[path] = self._counts.get(path, Counts()).plus(predictions, rejects)

    def _count_rejects(self, rejects: pa.Table) -> None:
        columns = [rejects[name].to_pylist() for name in ("source_file", "source_line", "rows", "reason")]
        for name, line, rows, reason in zip(*columns, strict=True):
            self._count(name, 0, rows)
            self._reasons[reason] = self._reasons.get(reason, 0) + (rows or 1)
            if line is None:
                self._refused.add(self._names[name])


class _Pile:
    """Chunks of one table on their way into parts."""

    def __init__(self, folder: Folder, part_bytes: int, batch_id: int) -> None:
        self._folder, self._part_bytes, self._batch_id = folder, part_bytes, batch_id
        self._chunks: list[pa.Table] = []
        self._bytes = self._rows = 0
        self._parts: list[Part] = []

    def add(self, chunk: pa.Table, rows: int) -> None:
        self._chunks.append(chunk)
        self._bytes += chunk.nbytes
        self._rows += rows
        if self._bytes >= self._part_bytes:
            self._write()

    def finish(self) -> tuple[Part, ...]:
        if self._chunks:
            self._write()
        return tuple(self._parts)

    def discard(self) -> None:
        self._chunks, self._bytes, self._rows = [], 0, 0
        while self._parts:
            _delete(self._parts.pop(), self._folder)

    def _write(self) -> None:
        fail_at("parts:before", self._batch_id)
        self._parts.append(write_part(pa.concat_tables(self._chunks), self._folder, self._rows))
        self._chunks, self._bytes, self._rows = [], 0, 0


def _delete(part: Part, folder: Folder) -> None:
    with contextlib.suppress(StorageError):  # a file that nobody will ever read
        folder.delete(part.path)


def _with_columns(table: pa.Table, schema: pa.Schema, values: dict[str, Any]) -> pa.Table:
    """The columns of `schema` in its order; those that the table lacks are filled with one value."""
    rows, present = table.num_rows, set(table.column_names)
    columns = [
        table[name] if name in present else pa.repeat(pa.scalar(values[name], schema.field(name).type), rows)
        for name in schema.names
    ]
    return pa.table(columns, schema=schema)


def _value_counts(column: pa.ChunkedArray) -> Iterable[tuple[str, int]]:
    return ((entry["values"], entry["counts"]) for entry in pc.value_counts(column).to_pylist())
