"""The command itself, `streamscore run`, for each writer, place of scoring and clean mode; nothing else is set."""

VARIANTS = {
    "streamscore": {},
    "streamscore-archive": {"STREAMSCORE_STREAMING__CLEAN": "archive"},
    "streamscore-executors": {"STREAMSCORE_STREAMING__MODE": "executors"},
    "streamscore-spark": {"STREAMSCORE_TABLES__WRITER": "delta-spark", "STREAMSCORE_STREAMING__MODE": "driver"},
    "streamscore-spark-executors": {
        "STREAMSCORE_TABLES__WRITER": "delta-spark",
        "STREAMSCORE_STREAMING__MODE": "executors",
    },
}
PLACES = {
    "STREAMSCORE_LANDING": "landing",
    "STREAMSCORE_TABLES__PATH": "tables",
    "STREAMSCORE_CHECKPOINT": "checkpoint",
}
