"""The columns of the tables, as Arrow schemas; times are UTC with microseconds."""

import pyarrow as pa

from schemas.feed import Feed

TIME = pa.timestamp("us", tz="UTC")

PREDICTIONS = "predictions"
QUARANTINE = "quarantine"
BATCHES = "batches"
EVENTS = "events"


def predictions_schema(feed: Feed, prediction: pa.DataType) -> pa.Schema:
    """The feed's columns, then the prediction and where it comes from; `(source_file, source_line)` is unique."""
    return pa.schema(
        [
            *feed.arrow_schema,
            pa.field("prediction", prediction),
            pa.field("model_name", pa.string()),
            pa.field("model_version", pa.string()),
            pa.field("model_run_id", pa.string()),
            pa.field("batch_id", pa.int64()),
            pa.field("source_file", pa.string()),  # relative to the landing folder, `/`, unescaped
            pa.field("source_line", pa.int64()),  # 1 = the first physical line of the file
            pa.field("landed_at", TIME),  # the file's own time
            pa.field("predicted_at", TIME),
        ]
    )


# What reading, checking and predicting say of a refused row or file.
REJECT_FIELDS = [
    pa.field("source_file", pa.string()),
    pa.field("source_line", pa.int64()),  # null: the whole file is refused
    pa.field("rows", pa.int64()),  # 1 for a row; a refused file's data lines, null where they cannot be counted
    pa.field("header", pa.string()),
    pa.field("raw", pa.string()),
    pa.field("reason", pa.string()),
    pa.field("column", pa.string()),
    pa.field("detail", pa.string()),
    pa.field("landed_at", TIME),
]
REJECTS_SCHEMA = pa.schema(REJECT_FIELDS)

QUARANTINE_SCHEMA = pa.schema(
    [
        *REJECT_FIELDS[:-1],
        pa.field("app_id", pa.string()),
        pa.field("batch_id", pa.int64()),
        pa.field("model_version", pa.string()),
        REJECT_FIELDS[-1],
        pa.field("quarantined_at", TIME),
        pa.field("replayed_as", pa.string()),
    ]
)

# One row per predictions commit, folded from the commit metadata, so that it outlives log clean-up.
BATCHES_SCHEMA = pa.schema(
    [
        pa.field("app_id", pa.string()),
        pa.field("batch_id", pa.int64()),
        pa.field("digest", pa.string()),  # of the manifest
        pa.field(
            "files",
            pa.list_(
                pa.struct(
                    [
                        pa.field("path", pa.string()),  # absolute URI
                        pa.field("size", pa.int64()),
                        pa.field("modified", pa.int64()),  # nanoseconds since 1970
                        pa.field("etag", pa.string()),
                        pa.field("predictions", pa.int64()),
                        pa.field("rejects", pa.int64()),  # rows; null where a refused file's cannot be counted
                    ]
                )
            ),
        ),
        pa.field("predictions", pa.int64()),
        pa.field("rejects", pa.int64()),
        pa.field("model_name", pa.string()),
        pa.field("model_version", pa.string()),
        pa.field("found_at", TIME),  # the first of its files was seen
        pa.field("committed_at", TIME),
        pa.field("table_version", pa.int64()),  # of the predictions table
    ]
)

EVENTS_SCHEMA = pa.schema(
    [
        pa.field("at", TIME),
        pa.field(
            "kind", pa.string()
        ),  # swapped, refused, requirements, unverified, registry_down, registry_up, conflict, recovered
        pa.field("app_id", pa.string()),
        pa.field("batch_id", pa.int64()),
        pa.field("model_name", pa.string()),
        pa.field("model_version", pa.string()),
        pa.field("detail", pa.string()),
    ]
)
