"""The landing folder as a streaming DataFrame."""

import os
from typing import TYPE_CHECKING, Any

from jobs.streaming.prepare import StreamRun
from streamscore.failpoints import arm
from streamscore.spark.session import ship_code

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def landing_frame(spark: "SparkSession", run: StreamRun, announce_to: str) -> "DataFrame":
    """The files that land, a row each; Spark's executors get our code with it.

    Args:
        announce_to: address of the socket that is named each manifest before Spark is.
    """
    from streamscore.landing.source import LandingSource

    ship_code(spark, run.paths.scratch)
    spark.dataSource.register(LandingSource)
    return spark.readStream.format("landing").options(**_options(run), ahead=announce_to).load()


def _options(run: StreamRun) -> dict[str, Any]:
    settings, streaming = run.settings, run.settings.streaming
    options = {
        "paths": run.paths.to_json(),
        "maxFiles": streaming.max_files,
        "maxBytes": streaming.max_bytes,
        "clean": streaming.clean,
        "fullLookSeconds": streaming.full_look_seconds,
        "listSeconds": streaming.list_seconds,
        "retrySeconds": settings.storage.retry_seconds,
        "endings": " ".join(run.feed.csv.endings),
    }
    if settings.testing.fail_points and (spec := os.environ.get("STREAMSCORE_FAIL_AT")):
        arm(spec, os.getpid())
        options |= {"failAt": spec, "driverPid": os.getpid()}
    return options
