"""What ended a query, in one line with the exit code it deserves."""

import pytest
from py4j.protocol import Py4JError

from jobs.streaming.query_error import query_error
from schemas.errors import ConflictError, ContractError, RecoveryError, StorageError, StreamscoreError

ENDED = "[STREAM_FAILED] Query [id = 1a, runId = 2b] terminated with exception: "
SOURCE = (
    f"{ENDED}[PYTHON_STREAMING_DATA_SOURCE_RUNTIME_ERROR] Failed when Python streaming data source perform "
    "latestOffset: Traceback (most recent call last):\n"
    '  File "/x/pyspark/sql/streaming/python_streaming_source_runner.py", line 250, in main\n'
    "    latest_offset_func(reader, infile, outfile)\n"
    '  File "/x/streamscore/landing/find.py", line 40, in look\n'
    "    for entry in os.scandir(folder):\n"
    "                 ^^^^^^^^^^^^^^^^^^\n"
    "{raised}\n SQLSTATE: 38000 SQLSTATE: XXKST\n=== Streaming Query ===\nIdentifier: wine [id = 1a, runId = 2b]\n"
)
WORKER = (
    f"{ENDED}An exception was raised by the Python Proxy. Return Message: Traceback (most recent call last):\n"
    '  File "/x/py4j/clientserver.py", line 644, in _call_proxy\n'
    "    return_value = getattr(self.pool[obj_id], method)(*params)\n"
    "py4j.protocol.Py4JJavaError: An error occurred while calling o99.collectToPython.\n"
    ": org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 1.0 failed 1 times, most "
    "recent failure: Lost task 0.0 in stage 1.0 (TID 1) (127.0.0.1 executor driver): "
    "org.apache.spark.api.python.PythonException: Traceback (most recent call last):\n"
    '  File "/x/streamscore/spark/executors.py", line 38, in score_partition\n'
    "    parts = score_to_parts(files, work, shipped.load(work.feed))\n"
    "{raised}\n\n\tat org.apache.spark.api.python.BasePythonRunner.handle(PythonRunner.scala:1)\n"
)


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
        (ContractError("no such column; promote"), ContractError, "no such column; promote"),
        (RuntimeError("Multiple streaming queries are concurrently using file:/c"), ConflictError, "another driver"),
        (RuntimeError("[CONCURRENT_STREAM_LOG_UPDATE] of /c"), ConflictError, "another driver"),
        (RuntimeError("no such state\nat org.apache.spark"), StorageError, "Spark ended the query: no such state; the"),
        (RuntimeError(""), StorageError, "Spark ended the query: RuntimeError; the whole"),
        (
            RuntimeError(f"{ENDED}java.io.IOException: No space left on device SQLSTATE: XXKST\n\tat java.io"),
            StorageError,
            "Spark ended the query: no space left on a disk (TMPDIR, /tmp or the checkpoint); df -h",
        ),
        (
            RuntimeError(f"{ENDED}[A_STATE] It is odd. SQLSTATE: XXKST"),
            StorageError,
            "query: [A_STATE] It is odd.; the",
        ),
    ],
)
def test_it_is_our_own_error_or_sparks_first_line(error: Exception, kind: type[StreamscoreError], said: str) -> None:
    found = query_error(error)
    assert type(found) is kind
    assert said in str(found)
    assert "\n" not in str(found)


@pytest.mark.parametrize("told_by", [SOURCE, WORKER])
@pytest.mark.parametrize(
    ("raised", "kind", "said"),
    [
        ("schemas.errors.RecoveryError: the ledger lost a line; start", RecoveryError, "the ledger lost a line; start"),
        ("schemas.errors.ContractError: no column 'a'; promote", ContractError, "no column 'a'; promote"),
        (
            "PermissionError: [Errno 13] Permission denied: '/in/a b.csv'",
            StorageError,
            "Spark's Python: /in/a b.csv: Permission denied (errno 13, EACCES); grant it: ls -ld '/in/a b.csv', then",
        ),
        (
            "OSError: [Errno 28] No space left on device",
            StorageError,
            "Spark's Python: No space left on device (errno 28, ENOSPC); make room there: df -h, then start again",
        ),
        (
            "OSError: [Errno 5] Input/output error: '/in'",
            StorageError,
            "/in: Input/output error (errno 5, EIO); look at it: ls -ld /in, then start again",
        ),
        ("OSError: [Errno 24] Too many open files: '/in'", StorageError, "(errno 24, EMFILE); raise the limit"),
        ("KeyError: 'alcohol'", StorageError, "its Python raised KeyError: 'alcohol' in /x/streamscore/"),
        ("a.b.OddError", StorageError, "its Python raised OddError in /x/streamscore/"),
    ],
)
def test_what_was_raised_in_sparks_python_is_told_with_file_and_number(
    told_by: str, raised: str, kind: type[StreamscoreError], said: str
) -> None:
    found = query_error(RuntimeError(told_by.replace("{raised}", raised)))
    assert type(found) is kind
    assert said in str(found)
    assert "\n" not in str(found) and "Traceback" not in str(found)
