"""What the shadows of routed feeds said in the stream, in the form in which `compare` has that of the service."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from schemas.feed import feed_names, load_feed
from schemas.settings import Settings
from schemas.tables import SHADOWS
from streamscore.tables.make import is_table
from streamscore.tables.read_table import read_table, table_uri

COLUMNS = {
    "app_id": "app_id",
    "batch_id": "request_number",
    "model_version": "model_version",
    "prediction": "prediction",
    "candidate_version": "model_version_of_shadow",
    "candidate_prediction": "prediction_of_shadow",
    "candidate_seconds": "request_seconds_of_shadow",
}


def streamed_pairs(name: str, settings: Settings) -> Iterator[pa.Table]:
    """Of each routed feed the rows that a model scored and a shadow was asked for.

    Raises:
        StorageError: a table cannot be read.
    """
    for feed in map(load_feed, feed_names()):
        if not feed.routing or not is_table(table_uri(feed, SHADOWS, settings, "read_table"), settings.storage):
            continue
        rows = read_table(feed, SHADOWS, columns=["model_name", *COLUMNS], settings=settings)
        rows = rows.filter(pc.equal(rows["model_name"], name)).drop_columns(["model_name"])
        if len(rows):
            seconds = pa.nulls(len(rows), pa.float64())  # of a micro-batch, not of a row
            yield rows.rename_columns(list(COLUMNS.values())).append_column("request_seconds", seconds)
