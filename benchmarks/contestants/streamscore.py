"""The command itself, `streamscore run`, for each writer and place of scoring; nothing else is set."""

VARIANTS = {
    "streamscore": {},
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
