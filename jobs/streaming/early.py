"""Ahead of Spark's call: while Spark writes down which files make a micro-batch, the driver scores them already.

The source names a manifest here when it hands it to Spark, and from there to the call of the micro-batch is most of a
small one's time. What was scored is taken up only if the micro-batch is that very one: the same files, number and
model version. It is committed once Spark has written its offset; until then nothing of it is in the tables.
"""

import json
import socket
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import structlog

from streamscore.landing.manifest import BatchManifest
from streamscore.landing.troubles import Trouble, from_message
from streamscore.tables.batch import ScoringTask
from streamscore.tables.parts import Parts, discard

log = structlog.get_logger()

MESSAGE_BYTES = 2**18  # a manifest that is longer is not sent by the system: a micro-batch of a thousand files

SHORT = "/tmp", "/dev/shm"  # a socket's path has 107 bytes at most, TMPDIR any number

Scored = tuple[ScoringTask, Parts]
Tell = Callable[[Sequence[Trouble], Sequence[Trouble]], object]


class EarlyScoring:
    """What was scored ahead, of one micro-batch at a time.

    Attributes:
        address: of the socket that the source writes to, in the file system; empty if there is none.
    """

    def __init__(self) -> None:
        self._undo = ExitStack()
        self.address, self._socket = "", self._undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self._bind()
        self._scoring = threading.Lock()
        self._seq = 0  # of the newest manifest that was scored, here or in its micro-batch
        self._scored: Scored | None = None
        self._thread: threading.Thread | None = None

    def listen(
        self,
        score: Callable[[BatchManifest], Scored | None],
        commit: Callable[[BatchManifest], None],
        tell: Tell = lambda new, over: None,  # noqa: ARG005
    ) -> None:
        """Score what the source names from now on, then commit it; both may decline. `tell` what is wrong there."""
        if not self.address:
            return
        self._thread = threading.Thread(target=self._listen, args=[score, commit, tell], name="ahead", daemon=True)
        self._thread.start()

    def take(self, work: ScoringTask) -> Parts | None:
        """What was scored of this very work, once; None if it is to be scored now."""
        with self._scoring:
            self._seq = max(self._seq, work.batch.manifest.seq)
            scored, self._scored = self._scored, None
        if scored is None:
            return None
        scored_work, parts = scored
        if scored_work == work:
            return parts
        discard(parts, scored_work)
        return None

    def close(self) -> None:
        """Listen no more; what was not taken up is deleted."""
        if self._thread:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
                end.sendto(b"", self.address)
            self._thread.join()
        self._undo.close()
        if self._scored:
            discard(self._scored[1], self._scored[0])

    def _bind(self) -> None:
        """Where nobody else can write to it; without an address, nothing is scored early, and all of it in its time."""
        for parent in (tempfile.gettempdir(), *SHORT):
            try:
                folder = self._undo.enter_context(tempfile.TemporaryDirectory(prefix="streamscore-", dir=parent))
                self._socket.bind(f"{folder}/ahead")
            except OSError as error:  # no room or no right, or a path that is too long for a socket
                log.debug("no socket", folder=parent, error=str(error))
            else:
                self.address = f"{folder}/ahead"
                return
        log.warning("no early scoring", detail=f"no socket in {tempfile.gettempdir()} or {', '.join(SHORT)}")

    def _listen(
        self,
        score: Callable[[BatchManifest], Scored | None],
        commit: Callable[[BatchManifest], None],
        tell: Tell,
    ) -> None:
        while message := self._socket.recv(MESSAGE_BYTES):
            try:
                said = json.loads(message)
                if troubles := from_message(said):
                    tell(*troubles)
                    continue
                manifest = BatchManifest.from_offset(said)
                with self._scoring:
                    if manifest.seq <= self._seq:
                        continue
                    self._seq = manifest.seq
                    self._scored = score(manifest)
                commit(manifest)
            except Exception as error:  # the micro-batch itself will meet it, and knows what to do
                log.debug("not done ahead", error=str(error))
