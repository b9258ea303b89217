"""What ended a query, in one line: one of our own errors, or Spark's."""

from py4j.protocol import Py4JError, Py4JJavaError

from schemas.errors import ConflictError, RecoveryError, StorageError, StreamscoreError, raised_in_worker

NO_JVM = ConnectionError, Py4JError  # what is raised where its JVM is gone


def query_error(error: Exception) -> StreamscoreError:
    """Our own error if the source raised one, else Spark's."""
    if isinstance(error, NO_JVM) and not isinstance(error, Py4JJavaError):
        return StorageError("Spark's JVM has ended, as when it is killed; nothing is lost, start again")
    said = str(error).strip()
    if ours := raised_in_worker(said, RecoveryError, ConflictError, StorageError):
        return ours
    if "concurrently using" in said or "CONCURRENT_STREAM_LOG_UPDATE" in said:
        return ConflictError("another driver writes this checkpoint, as Spark says; stop one of them, then start again")
    return StorageError(f"Spark ended the query: {said.splitlines()[0]}; the whole story: --debug")
