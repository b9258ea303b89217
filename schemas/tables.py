"""The columns of the tables, as Arrow schemas; times are UTC with microseconds."""

import pyarrow as pa

from schemas.feed import FORECAST, Column, Feed

TIME = pa.timestamp("us", tz="UTC")

PREDICTIONS = "predictions"
FORECASTS = "forecasts"
QUARANTINE = "quarantine"
BATCHES = "batches"
EVENTS = "events"
REQUESTS = "requests"
SHADOWS = "shadows"  # of a routed feed: what candidates say of its rows
DRIFT_PROFILES = "drift_profiles"
DRIFT = "drift"
ALERTS = "alerts"
SERVICE = "serving"  # what stands for the feed in the place of the table of requests that are of no feed

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

# What the log of the online service says of a row of a request, beside its values and its prediction.
REQUEST_FIELDS = [
    pa.field("model_name", pa.string()),
    pa.field("model_version", pa.string()),
    pa.field("model_run_id", pa.string()),
    pa.field("trial", pa.string()),  # canary: the candidate answered; shadow: it was asked beside, and nobody got it
    pa.field("app_id", pa.string()),  # of the spool that the request went through
    pa.field("request_number", pa.int64()),  # in that spool, from 1
    pa.field("request_id", pa.string()),  # as the answer has it
    pa.field("request_row", pa.int64()),  # as answers count rows; null: the request as a whole
    pa.field("request_route", pa.string()),  # the path with the names of its parts, as /models/{name}/predict
    pa.field("request_params", pa.string()),  # of the prediction, JSON; null where there were none
    pa.field("request_status", pa.int32()),  # of HTTP
    pa.field("requested_at", TIME),
    pa.field("request_seconds", pa.float64()),  # until the answer; of a shadow, its call
    pa.field("requester", pa.string()),  # name of the API key
    pa.field("sampling", pa.float64()),  # the share of the requests that was logged then
    pa.field("reason", pa.string()),
    pa.field("column", pa.string()),
    pa.field("detail", pa.string()),
    pa.field("raw", pa.string()),  # what the typed columns do not hold: a row as JSON, or the begin of a body
]


def requests_schema(feed: Feed | None, output: pa.DataType) -> pa.Schema:
    """The feed's columns, the prediction or a step of a forecast, and what is said of the request.

    `(app_id, request_number, request_row, trial)` is unique, of series with `step`; every request has at least one
    row. A column of the feed that has the name of one of the others gets a `_` at its end.

    Args:
        feed: None: the rows are JSON in `raw`, and the predictions JSON, too.
    """
    if feed is None:
        return pa.schema([pa.field("prediction", pa.string()), *REQUEST_FIELDS])
    taken = {field.name for field in REQUEST_FIELDS}
    columns = [f.with_name(f.name + "_" * (f.name in taken)) for f in feed.arrow_schema]
    if feed.kind == "series":
        return pa.schema([*columns, pa.field("step", pa.int32()), *forecast_type(feed), *REQUEST_FIELDS])
    return pa.schema([*columns, pa.field("prediction", output), *REQUEST_FIELDS])


def shadows_schema(prediction: pa.DataType) -> pa.Schema:
    """A row of predictions, and what a shadow says of it; `(source_file, source_line)` is one of predictions."""
    return pa.schema(
        [
            pa.field("app_id", pa.string()),
            pa.field("batch_id", pa.int64()),
            pa.field("source_file", pa.string()),
            pa.field("source_line", pa.int64()),
            pa.field("model_name", pa.string()),
            pa.field("model_version", pa.string()),
            pa.field("prediction", prediction),
            pa.field("candidate_name", pa.string()),
            pa.field("candidate_version", pa.string()),
            pa.field("candidate_prediction", prediction),  # null where it has none
            pa.field("candidate_seconds", pa.float64()),  # the row's share of its call
            pa.field("asked_at", TIME),
        ]
    )


def service_feed() -> Feed:
    """What stands for a feed in the place of the requests that are of no feed; it has no other tables."""
    return Feed(name=SERVICE, columns=(Column(name="prediction_of_no_feed", type="string"),))


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

# What both tables of drift say of a window: rows of one version, and perhaps of one slice.
_WINDOW = [
    pa.field("window", pa.string()),  # its length as given, such as 1h or 1000
    pa.field("window_start", TIME),  # of its first row, when it was predicted
    pa.field("window_end", TIME),  # of its last row
    pa.field("model_name", pa.string()),
    pa.field("model_version", pa.string()),
    pa.field("slice", pa.string()),  # column=value; null: all rows
    pa.field("column", pa.string()),
]

# One row per window and column: its sketch, see streamscore.statistics.sketches.
DRIFT_PROFILES_SCHEMA = pa.schema(
    [
        *_WINDOW,
        pa.field("part", pa.string()),  # feature, prediction or rejects
        pa.field("kind", pa.string()),
        pa.field("files", pa.int64()),
        pa.field("rows", pa.int64()),
        pa.field("missing", pa.int64()),  # null, NaN or infinite; of rejects: in quarantine
        pa.field("min", pa.float64()),
        pa.field("max", pa.float64()),
        pa.field("mean", pa.float64()),
        pa.field("std", pa.float64()),
        pa.field("quantiles", pa.list_(pa.float64())),
        pa.field("values", pa.list_(pa.struct([pa.field("value", pa.string()), pa.field("rows", pa.int64())]))),
        pa.field("other", pa.int64()),
        pa.field("model_run_id", pa.string()),
    ]
)

# One row per window, baseline, column and check: what the test says, see streamscore.statistics.verdict.
DRIFT_SCHEMA = pa.schema(
    [
        *_WINDOW,
        pa.field("baseline", pa.string()),  # training, week or version
        pa.field("check", pa.string()),  # values, missing, unseen or rejects; null: there was no test, see `note`
        pa.field("method", pa.string()),
        pa.field("rows_before", pa.int64()),
        pa.field("rows_now", pa.int64()),
        pa.field("share_before", pa.float64()),
        pa.field("share_now", pa.float64()),
        pa.field("effect", pa.float64()),
        pa.field("effect_low", pa.float64()),
        pa.field("effect_high", pa.float64()),
        pa.field("floor", pa.float64()),
        pa.field("p", pa.float64()),
        pa.field("p_adjusted", pa.float64()),
        pa.field("psi", pa.float64()),  # less its chance level
        pa.field("wasserstein", pa.float64()),  # in standard deviations
        pa.field("jensen_shannon", pa.float64()),
        pa.field("drifted", pa.bool_()),
        pa.field("alarm", pa.bool_()),  # 2 of the last 3 windows drifted
        pa.field("cause", pa.string()),  # new data or new model; null: it did not drift
        pa.field("note", pa.string()),
    ]
)

# One row per turn of a rule, and one per commit, `kind` state, with all that the watcher has to remember.
ALERTS_SCHEMA = pa.schema(
    [
        pa.field("number", pa.int64()),  # of the commit of this table
        pa.field("at", TIME),
        pa.field("kind", pa.string()),  # pending, inactive, firing, recovering, resolved, error, working; or state
        pa.field("rule", pa.string()),
        pa.field("severity", pa.string()),
        pa.field("episode", pa.string()),
        pa.field("since", TIME),
        pa.field("table_version", pa.int64()),  # of the table that the rule is about
        pa.field("value", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("rows", pa.string()),  # the first rows behind it, JSON
        pa.field("state", pa.string()),  # JSON
    ]
)
