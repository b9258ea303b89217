"""The floor: `pyarrow.csv` → pyfunc → `deltalake` in a loop, with nothing that makes it safe to stop.

All files that wait are one commit: whoever writes a loop does it so, and no other way is faster.
"""

import os
import sys
import time

import mlflow
import pyarrow as pa
import pyarrow.csv as pa_csv
from deltalake import DeltaTable, Schema, write_deltalake

from schemas.feed import load_feed


def loop(landing: str, tables: str, model_uri: str) -> None:
    """Until it is killed."""
    feed = load_feed("wine_quality")
    options = pa_csv.ConvertOptions(column_types={c.name: c.arrow_type for c in feed.columns})
    features = [c.name for c in feed.features]
    model = mlflow.pyfunc.load_model(model_uri)
    fields = [pa.field(c.table_name, c.arrow_type) for c in feed.columns]
    schema = pa.schema([*fields, ("prediction", pa.float64())])
    table = DeltaTable.create(f"{tables}/predictions", Schema.from_arrow(schema))
    seen: set[str] = set()
    print("started", flush=True)
    while True:
        if new := sorted(set(os.listdir(landing)) - seen):
            rows = pa.concat_tables(pa_csv.read_csv(f"{landing}/{name}", convert_options=options) for name in new)
            predicted = pa.array(model.predict(rows.select(features).to_pandas()), pa.float64())
            write_deltalake(table, pa.table([*rows.columns, predicted], schema), mode="append")
            seen.update(new)
        time.sleep(0.001)


if __name__ == "__main__":
    loop(*sys.argv[1:4])
