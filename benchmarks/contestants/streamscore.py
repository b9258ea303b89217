"""The command itself, `streamscore run`, for each writer, place of scoring and clean mode; all else is as it comes."""

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
    # not a matter of speed: a JVM that was stopped for two minutes would take its own executor for lost
    "STREAMSCORE_SPARK__CONF": '{"spark.network.timeout": "36000s"}',
    "STREAMSCORE_LANDING": "landing",
    "STREAMSCORE_TABLES__PATH": "tables",
    "STREAMSCORE_CHECKPOINT": "checkpoint",
}
