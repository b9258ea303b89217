"""The floor: `pyarrow.csv` → pyfunc → `deltalake` in a loop, with nothing that makes it safe to stop."""

import os
import sys
import time

import mlflow
import pyarrow as pa
import pyarrow.csv as pa_csv
from deltalake import DeltaTable, Schema, write_deltalake

from schemas.feed import load_feed

landing, tables, model_uri = sys.argv[1:4]
feed = load_feed("wine_quality")
types = {c.name: c.arrow_type for c in feed.columns}
names = [c.name for c in feed.features]
model = mlflow.pyfunc.load_model(model_uri)
fields = [pa.field(c.table_name, c.arrow_type) for c in feed.columns]
table = DeltaTable.create(
    f"{tables}/predictions", Schema.from_arrow(pa.schema([*fields, ("prediction", pa.float64())]))
)
seen: set[str] = set()
print("started", flush=True)
while True:
    if new := sorted(set(os.listdir(landing)) - seen):
        options = pa_csv.ConvertOptions(column_types=types)
        rows = pa.concat_tables(pa_csv.read_csv(f"{landing}/{name}", convert_options=options) for name in new)
        predicted = model.predict(rows.select(names).to_pandas())
        legal = rows.rename_columns([f.name for f in fields])
        write_deltalake(table, legal.append_column("prediction", pa.array(predicted)), mode="append")
        seen.update(new)
    time.sleep(0.001)
