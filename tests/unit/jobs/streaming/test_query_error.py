"""What ended a query, in one line with the exit code it deserves."""

import pytest
from py4j.protocol import Py4JError

from jobs.streaming.query_error import query_error
from schemas.errors import ConflictError, RecoveryError, StorageError, StreamscoreError


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (ConnectionRefusedError("Connection refused"), StorageError, "Spark's JVM has ended"),
        (Py4JError("Answer from Java side is empty"), StorageError, "Spark's JVM has ended"),
        (
            RuntimeError("[STREAM_FAILED]\nschemas.errors.RecoveryError: the ledger lost a line; start over\n"),
            RecoveryError,
            "the ledger lost a line; start over",
        ),
        (RuntimeError("Multiple streaming queries are concurrently using file:/c"), ConflictError, "another driver"),
        (RuntimeError("[CONCURRENT_STREAM_LOG_UPDATE] of /c"), ConflictError, "another driver"),
        (RuntimeError("no space left\nat org.apache.spark"), StorageError, "Spark ended the query: no space left;"),
    ],
)
def test_it_is_our_own_error_or_sparks_first_line(error: Exception, kind: type[StreamscoreError], said: str) -> None:
    found = query_error(error)
    assert type(found) is kind
    assert said in str(found)
    assert "\n" not in str(found)
