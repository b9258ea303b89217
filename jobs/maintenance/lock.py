"""One maintenance of a feed's tables at a time: a lock in a folder, a lease in an object store."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from schemas.errors import TryAgainError
from schemas.settings import Storage
from streamscore.storage import lease
from streamscore.storage.places import open_folder

LOCK = "_maintain"  # in the tables' folder


@contextmanager
def alone(tables: str, feed: str, storage: Storage) -> Iterator[threading.Event]:
    """While no other maintenance is at work; what is given is set if one took over, because this one stood still.

    Two at once would do no harm: of two who compact the same files one commits. They would do the work twice.

    Raises:
        TryAgainError: another is at work.
    """
    folder = open_folder(f"{tables.rstrip('/')}/{LOCK}", storage)
    with lease.alone(folder, feed, _later(f"another maintenance of {tables} is at work", feed)) as lost:
        yield lost


@contextmanager
def stream_stopped(checkpoint: str, feed: str, storage: Storage) -> Iterator[None]:
    """While no stream runs on a checkpoint: Spark's own commits could overwrite ours in the table's log.

    Raises:
        TryAgainError: one does.
    """
    said = f"the stream of {checkpoint} runs, and tables.writer is delta-spark: stop it first, or let Spark OPTIMIZE"
    with lease.alone(open_folder(checkpoint, storage), feed, _later(said, feed)):
        yield


def _later(said: str, feed: str) -> TryAgainError:
    return TryAgainError(f"{said}; run the same again later: streamscore maintain {feed}")
