"""All tests here share one Spark session, in which no query of an earlier test may be left."""

import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.wait import until

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(autouse=True)
def _no_query_is_left(spark: "SparkSession") -> None:
    """A start that failed stops its query as soon as Spark has begun it, in another thread and after the test's end."""
    until(lambda: all(thread.name != "background" for thread in threading.enumerate()) and not spark.streams.active)
