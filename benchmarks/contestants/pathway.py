"""Pathway: its CSV connector, a UDF over batches of rows, a subscriber that commits each of its times by `deltalake`.

Its own Delta output wants a licence key, which has to be signed up for.
"""

import sys
from typing import Any

import mlflow
import pandas as pd
import pathway as pw
import pyarrow as pa
from deltalake import DeltaTable, Schema, write_deltalake

from schemas.feed import Feed, load_feed

COMMIT_MS = 1  # between two of its own commits; its default, 1,500 ms, would be the latency


def predictor(feed: Feed, model_uri: str) -> Any:
    """A UDF: lists of values, a list per feature → a list of predictions."""
    model = mlflow.pyfunc.load_model(model_uri)
    names = [c.name for c in feed.features]

    def predict(*columns: list[float]) -> list[float]:
        return [float(value) for value in model.predict(pd.DataFrame(dict(zip(names, columns, strict=True))))]

    return pw.udf(predict, max_batch_size=65_536, return_type=float, deterministic=True)


class Append:
    """What changed at one of Pathway's times, as one commit."""

    def __init__(self, path: str, schema: pa.Schema) -> None:
        self._schema, self._rows = schema, list[dict[str, Any]]()
        self._table = DeltaTable.create(path, Schema.from_arrow(schema))

    def change(self, key: Any, row: dict[str, Any], time: int, is_addition: bool) -> None:
        self._rows.append(row)

    def time_end(self, time: int) -> None:
        if self._rows:
            write_deltalake(self._table, pa.Table.from_pylist(self._rows, self._schema), mode="append")
            self._rows = []


def main(landing: str, tables: str, model_uri: str) -> None:
    """Until it is killed."""
    feed = load_feed("wine_quality")
    types = {"int": int, "double": float}
    schema = pw.schema_from_types(**{c.name: types[c.type] for c in feed.columns})
    rows = pw.io.csv.read(landing, schema=schema, mode="streaming", autocommit_duration_ms=COMMIT_MS)
    prediction = predictor(feed, model_uri)(*[rows[c.name] for c in feed.features])
    legal = {c.table_name: rows[c.name] for c in feed.columns}
    fields = [pa.field(c.table_name, c.arrow_type) for c in feed.columns]
    append = Append(f"{tables}/predictions", pa.schema([*fields, ("prediction", pa.float64())]))
    pw.io.subscribe(rows.select(**legal, prediction=prediction), append.change, on_time_end=append.time_end)
    print("started", flush=True)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)


if __name__ == "__main__":
    main(*sys.argv[1:4])
