"""Sends the notices of each receiver in a thread of its own: one that is slow holds up no other."""

import threading
import time
from collections.abc import Callable, Sequence

import structlog

from jobs.monitoring.alerts.outbox import Answer, Notice, after, next_of

log = structlog.get_logger()

LOOK_SECONDS = 0.5  # between two looks at what is due


class Delivery:
    """One receiver's notices on their way.

    What became of each is taken by `results`: its id, and the notice as it is to be kept, None if it was received.
    """

    def __init__(self, name: str, send: Callable[[Notice], Answer]) -> None:
        self._name, self._send = name, send
        self._notices: list[Notice] = []
        self._results: dict[str, Notice | None] = {}
        self._lock, self._wake, self._stopping = threading.Lock(), threading.Event(), False
        self._thread = threading.Thread(target=self._run, name=f"deliver {name}", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """End once the attempt that is under way has its answer; the rest is sent the next time."""
        self._stopping = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()

    def add(self, notices: Sequence[Notice]) -> None:
        """Take notices that are stored."""
        with self._lock:
            self._notices += notices
        self._wake.set()

    def results(self) -> dict[str, Notice | None]:
        """What became of notices since the last call."""
        with self._lock:
            found, self._results = self._results, {}
        return found

    def _run(self) -> None:
        while not self._stopping:
            with self._lock:
                notice = next_of(self._notices, time.time())
            if notice is None:
                self._wake.wait(LOOK_SECONDS)
                self._wake.clear()
            else:
                self._attempt(notice)

    def _attempt(self, notice: Notice) -> None:
        left = after(notice, self._send(notice), time.time())
        with self._lock:
            at = self._notices.index(notice)
            self._notices[at : at + 1] = [left] if left and not left.is_dead else []
            self._results[notice.id] = left
        if left:
            outcome = "given up" if left.is_dead else "trying again"
            log.warning("notice not received", receiver=self._name, id=notice.id, outcome=outcome, error=left.problem)
        else:
            log.info("notice received", receiver=self._name, id=notice.id, attempts=notice.attempts + 1)
