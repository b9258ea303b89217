"""One maintenance of a feed's tables at a time: a lock in a folder, a lease in an object store."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from schemas.errors import TryAgainError
from streamscore.storage import lease
from streamscore.storage.places import open_folder
from streamscore.storage.stream_paths import StreamPaths

LOCK = "_maintain"  # in the tables' folder


@contextmanager
def alone(paths: StreamPaths, feed: str) -> Iterator[threading.Event]:
    """While no other maintenance is at work; what is given is set if one took over, because this one stood still.

    Two at once would do no harm: of two who compact the same files one commits. They would do the work twice.

    Raises:
        TryAgainError: another is at work.
    """
    folder = open_folder(paths.table(LOCK), paths.storage)
    with lease.alone(folder, feed, _later(f"another maintenance of {paths.tables} is at work", feed)) as lost:
        yield lost


@contextmanager
def stream_stopped(paths: StreamPaths, feed: str) -> Iterator[None]:
    """While no stream runs on a checkpoint: Spark's own commits could overwrite ours in the table's log.

    Raises:
        TryAgainError: one does.
    """
    checkpoint = paths.checkpoint
    said = (
        f"the stream of {checkpoint.uri} runs, and tables.writer is delta-spark: stop it first, or let Spark OPTIMIZE"
    )
    with lease.alone(checkpoint, feed, _later(said, feed)):
        yield


def _later(said: str, feed: str) -> TryAgainError:
    return TryAgainError(f"{said}; run the same again later: streamscore maintain {feed}")
