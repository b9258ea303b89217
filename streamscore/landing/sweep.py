"""Clean-up beside the stream: many micro-batches at a time, in a thread that no micro-batch waits for."""

import threading
from collections import deque
from collections.abc import Iterable

from streamscore.landing.archive import Archive
from streamscore.landing.manifest import LandedFile
from streamscore.storage.retry import retry_storage

SECONDS = 1.0  # between two rounds: one sync for all micro-batches of a second


class Sweeper:
    """Sweeps the files of micro-batches that are done.

    A crash loses what is waiting here: the next start finds these files in its ledger, and sweeps them.
    """

    def __init__(self, archive: Archive, retry_seconds: float) -> None:
        self._archive, self._retry_seconds = archive, retry_seconds
        self._waiting: deque[LandedFile] = deque()
        self._sweeping = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def add(self, files: Iterable[LandedFile]) -> None:
        """Sweep these, soon; their micro-batch is committed, and Spark has noted that it is."""
        if self._archive.keeps:
            return
        self._waiting.extend(files)
        if self._thread is None and self._waiting:
            self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """Sweep now what is waiting.

        Raises:
            StorageError: storage failed for `storage.retry_seconds`.
        """
        with self._sweeping:
            files = [self._waiting.popleft() for _ in range(len(self._waiting))]
            retry_storage(self._retry_seconds, lambda: self._archive.sweep(files), stop=self._closed)

    def assert_well(self) -> None:
        """Raise what ended the thread, if anything did."""
        if self._error:
            raise self._error

    def close(self) -> None:
        """Begin no other round."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(SECONDS):
            try:
                self.finish()
            except Exception as error:  # the source's next call ends the stream with it
                self._error = error
                return
