"""Storage that fails is tried again: an object store is down for a minute now and then, and a full disk is cleared."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from schemas.errors import StorageError, StreamscoreError

FIRST_SECONDS, MOST_SECONDS = 0.2, 5.0  # pauses, each twice the one before

T = TypeVar("T")
Passing = type[StreamscoreError] | tuple[type[StreamscoreError], ...]


def retry_storage(
    seconds: float,
    do: Callable[[], T],
    *,
    stop: threading.Event | None = None,
    passing: Passing = StorageError,
) -> T:
    """What `do` gives; called again after a `StorageError` that can pass, for so many seconds.

    Args:
        stop: once set, the next error is the last.
        passing: the errors after which it is called again, where not only these.

    Raises:
        StorageError: it did not pass.
    """
    until, pause = time.monotonic() + seconds, FIRST_SECONDS
    while True:
        try:
            return do()
        except passing as error:
            if not error.can_retry or time.monotonic() + pause > until or (stop is not None and stop.is_set()):
                raise
            import structlog  # 0.2 s, which each Python worker of Spark would pay

            structlog.get_logger().warning(
                "storage failed, trying again" if isinstance(error, StorageError) else "trying again",
                seconds=pause,
                error=str(error),
            )
            if stop is not None:
                stop.wait(pause)
            else:
                time.sleep(pause)
            pause = min(2 * pause, MOST_SECONDS)
