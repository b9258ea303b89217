"""Batches, parts and tables for the tests of the commits."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.feed import Feed
from schemas.settings import Tables as TablesSettings
from schemas.tables import REJECTS_SCHEMA, TIME
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.registry.model_version import ModelVersion
from streamscore.tables.batch import Batch
from streamscore.tables.parts import Parts, PartsWriter
from streamscore.tables.tables import Tables

LANDING = "file:///in"
LANDED_AT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)

FEED = Feed.model_validate(
    {
        "name": "kit",
        "columns": [
            {"name": "first value", "type": "double"},
            {"name": "kind", "type": "string"},
            {"name": "bornAt", "type": "timestamp", "nullable": True},
        ],
    }
)


def open_tables(
    path: Path, *, writer: str = "delta-rs", prediction: pa.DataType | None = None, every: int = 100
) -> Tables:
    settings = TablesSettings.model_validate({"writer": writer, "checkpoint_every": every})
    tables = Tables(path, FEED, settings)
    tables.create(prediction or pa.float64())
    return tables


def a_file(name: str, content: int = 0) -> LandedFile:
    return LandedFile(f"{LANDING}/{name}", size=100, modified=1_000 + content, found=1_700_000_000_000_000_000)


def a_batch(batch_id: int, *names: str, app_id: str = "app", content: int = 0) -> Batch:
    files = tuple(a_file(name, content) for name in names or (f"{batch_id}.csv",))
    return Batch(app_id, batch_id, BatchManifest(batch_id + 1, files), ModelVersion("wine", "3", "run-3"))


def scored(
    file: str, rows: int, rejects: int = 0, prediction: pa.Array | None = None, **columns: Any
) -> tuple[pa.Table, pa.Table]:
    """A chunk as `score` gives it: `rows` predictions on lines 2…, then `rejects` rows."""
    values: Mapping[str, Any] = {
        "first_value": [float(i) for i in range(rows)],
        "kind": ["red"] * rows,
        "born_at": [None] * rows,
        "source_file": [file] * rows,
        "source_line": list(range(2, rows + 2)),
        "landed_at": [LANDED_AT] * rows,
    } | columns
    schema = pa.schema(
        [*FEED.arrow_schema, ("source_file", pa.string()), ("source_line", pa.int64()), ("landed_at", TIME)]
    )
    table = pa.table(dict(values), schema=schema)
    table = table.append_column("prediction", pa.array([0.5] * rows) if prediction is None else prediction)
    lines = range(rows + 2, rows + 2 + rejects)
    refused = [
        {"source_file": file, "source_line": n, "rows": 1, "raw": "x", "reason": "bad_type", "landed_at": LANDED_AT}
        for n in lines
    ]
    return table, pa.Table.from_pylist(refused, schema=REJECTS_SCHEMA)


def parts_writer(tables: Tables, batch: Batch, **options: Any) -> PartsWriter:
    work: Any = SimpleNamespace(
        feed=tables.feed, batch=batch, folders=tables.folders, landing=LANDING, storage=tables.storage
    )
    return PartsWriter(work, **options)


def parts_of(tables: Tables, batch: Batch, rows: int = 3, rejects: int = 0) -> Parts:
    """Parts with so many predictions and rejects of each file of the batch."""
    writer = parts_writer(tables, batch)
    for file in batch.manifest.files:
        writer.add(*scored(file.path.removeprefix(f"{LANDING}/"), rows, rejects))
    return writer.finish()


def rows_of(tables: Tables, table: str) -> pa.Table:
    return tables.log(table).dataset().to_table()


def keys(tables: Tables, table: str) -> list[tuple[str, int]]:
    """`(source_file, source_line)` of every row, sorted."""
    rows = rows_of(tables, table).select(["source_file", "source_line"])
    return sorted((row["source_file"], row["source_line"]) for row in rows.to_pylist())


def entries(tables: Tables, table: str) -> int:
    """Versions of the table, without its creation."""
    return tables.log(table).handle().version()


def total(tables: Tables, table: str, column: str) -> Any:
    return pc.sum(rows_of(tables, table)[column]).as_py()
