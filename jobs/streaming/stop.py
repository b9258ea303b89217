"""Whether a run is to end: asked to by a signal, or since another driver took its checkpoint."""

import signal
import threading

from schemas.errors import ConflictError


class Stop:
    """Asked for once, from any thread; never taken back."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._holder = ""

    def on_signals(self) -> None:
        """Let SIGTERM and Ctrl-C ask for it; in the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.ask())

    def ask(self) -> None:
        """Let the run end after the micro-batch that is running."""
        self._asked.set()

    def lease_lost(self, holder: str) -> None:
        """Another driver has the checkpoint: end, and say so."""
        self._holder = holder
        self.ask()

    @property
    def is_asked(self) -> bool:
        return self._asked.is_set()

    def wait(self, seconds: float) -> bool:
        """Whether it is asked for within some seconds."""
        return self._asked.wait(seconds)

    def assert_not_lost(self, checkpoint: str) -> None:
        """Refuse to end as if all was well where another driver has the checkpoint.

        Raises:
            ConflictError: names that driver.
        """
        if self._holder:
            msg = (
                f"checkpoint {checkpoint} was taken over by {self._holder} while the object store did not "
                f"answer this process; stop one of them"
            )
            raise ConflictError(msg)
