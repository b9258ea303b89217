"""Bytewax: a source that lists the folder, a step that reads and predicts a batch of files, a `deltalake` sink."""

import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import bytewax.operators as op
import mlflow
import pyarrow as pa
import pyarrow.csv as pa_csv
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main
from deltalake import DeltaTable, Schema, write_deltalake

from schemas.feed import load_feed

POLL = timedelta(milliseconds=1)


class NewFiles(StatelessSourcePartition[str]):  # type: ignore[misc]  # no types are shipped
    """The paths of files that were not there at the last look."""

    def __init__(self, folder: str, most: int) -> None:
        self._folder, self._most = folder, most or None
        self._seen: set[str] = set()
        self._awake: datetime | None = None

    def next_batch(self) -> Iterable[str]:
        new = sorted(set(os.listdir(self._folder)) - self._seen)[: self._most]
        self._seen.update(new)
        self._awake = None if new else datetime.now(UTC) + POLL
        return [f"{self._folder}/{name}" for name in new]

    def next_awake(self) -> datetime | None:
        return self._awake


class Folder(DynamicSource[str]):  # type: ignore[misc]  # no types are shipped
    """A landing folder, for a single worker."""

    def __init__(self, folder: str, most: int) -> None:
        self._folder, self._most = folder, most

    def build(self, step_id: str, worker_index: int, worker_count: int) -> NewFiles:
        return NewFiles(self._folder, self._most)


class Append(StatelessSinkPartition[pa.Table]):  # type: ignore[misc]  # no types are shipped
    """One commit for what comes at once."""

    def __init__(self, table: DeltaTable) -> None:
        self._table = table

    def write_batch(self, items: list[pa.Table]) -> None:
        write_deltalake(self._table, pa.concat_tables(items), mode="append")


class Delta(DynamicSink[pa.Table]):  # type: ignore[misc]  # no types are shipped
    """A table that is made if it is missing."""

    def __init__(self, path: str, schema: pa.Schema) -> None:
        self._path, self._schema = path, schema

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Append:
        return Append(DeltaTable.create(self._path, Schema.from_arrow(self._schema), mode="ignore"))


def flow(landing: str, tables: str, model_uri: str, max_files: int) -> Dataflow:
    """Paths → rows with predictions → the table."""
    feed = load_feed("wine_quality")
    options = pa_csv.ConvertOptions(column_types={c.name: c.arrow_type for c in feed.columns})
    features = [c.name for c in feed.features]
    model = mlflow.pyfunc.load_model(model_uri)
    fields = [pa.field(c.table_name, c.arrow_type) for c in feed.columns]
    schema = pa.schema([*fields, ("prediction", pa.float64())])

    def predict(paths: list[str]) -> list[pa.Table]:
        rows = pa.concat_tables(pa_csv.read_csv(path, convert_options=options) for path in paths)
        predicted = pa.array(model.predict(rows.select(features).to_pandas()), pa.float64())
        return [pa.table([*rows.columns, predicted], schema)]

    made = Dataflow("wine_quality")
    paths = op.input("landing", made, Folder(landing, max_files))
    op.output("predictions", op.flat_map_batch("predict", paths, predict), Delta(f"{tables}/predictions", schema))
    return made


if __name__ == "__main__":
    landing, tables, model_uri, max_files = sys.argv[1:]
    wanted = flow(landing, tables, model_uri, int(max_files))
    print("started", flush=True)
    run_main(wanted)
