"""What ended a query, in one line: one of our own errors, what Spark's Python raised, or Spark's own words."""

import re

from py4j.protocol import Py4JError, Py4JJavaError

from schemas.errors import ConflictError, StorageError, StreamscoreError
from streamscore.spark.jvm_error import cause_in
from streamscore.spark.python_error import raised_in_python, unexpected_in_python

NO_JVM = ConnectionError, Py4JError  # what is raised where its JVM is gone
_PREFIX = re.compile(r"\[STREAM_FAILED\] Query \[[^\]]*\] terminated with exception: ")
_STATE = re.compile(r"( SQLSTATE: \w+)+$")


def query_error(error: Exception) -> StreamscoreError:
    """Our own error if Spark's Python raised one, else what it raised, else Spark's first line."""
    if isinstance(error, StreamscoreError):
        return error
    if isinstance(error, NO_JVM) and not isinstance(error, Py4JJavaError):
        return StorageError("Spark's JVM has ended, as when it is killed; nothing is lost, start again")
    said = str(error).strip()
    if raised := raised_in_python(said):
        return raised
    if "concurrently using" in said or "CONCURRENT_STREAM_LOG_UPDATE" in said:
        return ConflictError("another driver writes this checkpoint, as Spark says; stop one of them, then start again")
    first = unexpected_in_python(said) or _STATE.sub(
        "", (_PREFIX.sub("", said) or type(error).__name__).splitlines()[0]
    )
    return StorageError(f"Spark ended the query: {cause_in(said) or f'{first}; the whole story: --debug'}")
