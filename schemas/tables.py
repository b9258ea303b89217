"""The columns of the tables, as Arrow schemas; times are UTC with microseconds."""

import pyarrow as pa

from schemas.feed import FORECAST, Feed

TIME = pa.timestamp("us", tz="UTC")

PREDICTIONS = "predictions"
FORECASTS = "forecasts"
QUARANTINE = "quarantine"
BATCHES = "batches"
EVENTS = "events"

FORECAST_TIME = "forecast_time"  # in forecasts; tables that were made before it existed get it at the next start


# Where a prediction or a forecast comes from.
_LINEAGE = [
    pa.field("model_name", pa.string()),
    pa.field("model_version", pa.string()),
    pa.field("model_run_id", pa.string()),
    pa.field("batch_id", pa.int64()),
    pa.field("source_file", pa.string()),  # relative to the landing folder, `/`, unescaped
    pa.field("source_line", pa.int64()),  # 1 = the first physical line of the file
    pa.field("landed_at", TIME),  # the file's own time
    pa.field("predicted_at", TIME),
]


def scored_table(feed: Feed) -> str:
    """The table that a feed's good rows end in; its commits decide the micro-batches."""
    return FORECASTS if feed.kind == "series" else PREDICTIONS


def scored_schema(feed: Feed, output: pa.DataType) -> pa.Schema:
    """The columns of that table, for a model with this output."""
    return forecasts_schema(feed) if feed.kind == "series" else predictions_schema(feed, output)


def predictions_schema(feed: Feed, prediction: pa.DataType) -> pa.Schema:
    """The feed's columns, then the prediction and where it comes from; `(source_file, source_line)` is unique."""
    return pa.schema([*feed.arrow_schema, pa.field("prediction", prediction), *_LINEAGE])


def forecast_type(feed: Feed) -> pa.StructType:
    """What a series model gives for each step: for each endogenous column a forecast and its bounds."""
    return pa.struct(
        [pa.field(f"{column.table_name}_{what}", pa.float64()) for column in feed.features for what in FORECAST]
    )


def forecasts_schema(feed: Feed) -> pa.Schema:
    """The feed's columns, an observation's, then one step of its forecasts and where it comes from.

    `(source_file, source_line, step)` is unique, and so is `(observation, step)`. An observation has the steps 1, 2, …
    of its forecasts, or, where it has none, step 0 alone: exactly one of its rows has a step of at most 1.
    """
    return pa.schema(
        [
            *feed.arrow_schema,
            pa.field("observation", pa.int64()),  # 1, 2, … over all series, in the order of acceptance
            pa.field("step", pa.int32()),
            pa.field(FORECAST_TIME, feed.time.arrow_type),  # of the step; null where its distance is not known
            *forecast_type(feed),
            pa.field("failure", pa.string()),  # why the model gave no forecast, where it was asked
            *_LINEAGE,
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
        ),  # swapped, refused, requirements, unverified, registry_down, registry_up, conflict, recovered,
        # taken_up, torn, passed_over, odd_time, found_late, not_cleaned_up
        pa.field("app_id", pa.string()),
        pa.field("batch_id", pa.int64()),
        pa.field("model_name", pa.string()),
        pa.field("model_version", pa.string()),
        pa.field("detail", pa.string()),
    ]
)
