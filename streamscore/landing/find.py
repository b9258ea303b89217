"""From one manifest to the next: new, settled files, oldest first, each exactly once."""

import heapq
from dataclasses import dataclass, replace
from typing import Protocol

from schemas.dialect import ENDINGS
from schemas.errors import ConflictError
from streamscore.failpoints import fail_at
from streamscore.landing.archive import REFUSALS, Archive
from streamscore.landing.ledger import NAME as LEDGER
from streamscore.landing.ledger import Ledger
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.landing.objects import BucketWatcher
from streamscore.landing.sweep import Sweeper
from streamscore.landing.troubles import Troubles
from streamscore.landing.watch import FolderWatcher
from streamscore.storage.folder import Folder
from streamscore.storage.retry import retry_storage
from streamscore.storage.stream_paths import StreamPaths

# An idle stream waits here for inotify: polling every millisecond cost 0.24 of a core, this 0.02. Spark sends the
# manifest there and back at each poll; after a batch of many files it asks less often, so that this costs no more.
WAIT_SECONDS, WAIT_SECONDS_A_FILE, MOST_WAIT_SECONDS = 0.1, 0.001, 1.0


@dataclass(frozen=True, slots=True)
class DiscoveryOptions:
    """What a finder works with.

    Attributes:
        max_files, max_bytes: of one manifest, which has at least one file.
        clean: `off`, `archive` or `delete`.
        full_look_seconds: between two listings of all files.
        list_seconds: between two LIST requests to an object store.
        retry_seconds: for which storage that fails is tried again.
        endings: of the names that are landed, as the feed says.
    """

    paths: StreamPaths
    max_files: int
    max_bytes: int
    clean: str
    full_look_seconds: float = 60.0
    list_seconds: float = 0.05
    retry_seconds: float = 300.0
    endings: tuple[str, ...] = ENDINGS


class FileDiscovery:
    """What the source knows: the landing folder, the ledger of what was seen, and the files that wait their turn."""

    def __init__(self, finding: DiscoveryOptions) -> None:
        self.max_files, self._max_bytes = finding.max_files, finding.max_bytes
        self._retry_seconds = finding.retry_seconds
        landing, checkpoint = finding.paths.landing, finding.paths.checkpoint
        self._checkpoint = checkpoint
        self._ledger = Ledger(checkpoint.open_journal(LEDGER))
        self.troubles = Troubles(checkpoint)
        self._watcher = watcher_of(landing, finding, self.troubles)
        refusals = checkpoint.open_journal(REFUSALS)
        self._archive = Archive(landing, finding.clean, refusals, finding.paths.results, self.troubles)
        self._sweeper = Sweeper(self._archive, finding.retry_seconds)
        self._waiting: dict[str, LandedFile] = {}
        self._turns: list[tuple[int, str]] = []  # a heap: time and path of what waits, and of some that waits no more
        self._given: BatchManifest | None = None
        self._drained: list[LandedFile] | None = None
        self._restored = False

    def drain(self) -> None:
        """Take what is there now, and nothing that comes later."""
        self._drained = retry_storage(self._retry_seconds, self._watcher.look)

    def after(self, begun: BatchManifest, max_files: int) -> BatchManifest:
        """The manifest after `begun`, or `begun` if no file settles within `WAIT_SECONDS` or a little more.

        Everything up to `begun` is processed: Spark asks for the next batch only then. Storage that fails is tried
        again for `storage.retry_seconds`.
        1. Make `begun` durable in the ledger.  2. Have its files cleaned up, beside the stream; at the end of a drain
        all of them are, on return.  3. Look for new ones.  4. Hand out a manifest.
        """
        self._sweeper.assert_well()
        if self._given and self._given.seq > begun.seq:
            return self._given  # asked again: Spark did not take it yet
        retry_storage(self._retry_seconds, lambda: self._go_on(begun))
        if self._drained is not None and not self._waiting:
            self._sweeper.finish()  # 2: Spark does not call again
        return self._hand_out(begun, max_files)  # 4

    def close(self) -> None:
        """Stop watching the folder."""
        self._sweeper.close()
        self._watcher.close()

    def _go_on(self, begun: BatchManifest) -> None:
        if not self._restored:
            self._restore(begun)
        if begun.seq > self._ledger.last:
            self._assert_ours(begun)
            self._ledger.append(begun)  # 1
            self._sweeper.add(begun.files)  # 2
        if self._drained is None:
            wait = min(max(WAIT_SECONDS, WAIT_SECONDS_A_FILE * len(begun.files)), MOST_WAIT_SECONDS)
            self._expect(self._watcher.poll(0 if self._waiting else wait))  # 3

    def _assert_ours(self, begun: BatchManifest) -> None:
        """The offset that Spark wrote down for the last batch must be the one it has in memory.

        Of two drivers on one checkpoint, one may believe that its offset was written when it was the other's: the batch
        was then made of the other's files, and its own must not be held for seen.
        """
        for batch_id in (begun.seq - 1, begun.seq):
            text = self._checkpoint.read(f"offsets/{batch_id}")
            written = BatchManifest.from_log(text) if text else None
            if written and written.seq == begun.seq and written.digest == begun.digest:
                return
        msg = (
            f"another driver writes offsets/{begun.seq - 1} of checkpoint {self._checkpoint.uri}; stop one of them, "
            f"then start over from the tables: streamscore run FEED --recover"
        )
        raise ConflictError(msg)

    def _restore(self, begun: BatchManifest) -> None:
        """What was found before, from the ledger; what lies in the folder now, from a full look."""
        processed = {f.path: f for manifest in self._ledger.restore(begun.seq) for f in manifest.files}
        processed |= {f.path: f for f in begun.files}
        self._ledger.append(begun)
        there = self._watcher.look() if self._drained is None else self._drained
        done = [processed[f.path] for f in there if f.path in processed]
        self._archive.forget_all_but(done)
        self._sweeper.add(done)
        self._expect(there)
        self._restored = True

    def _expect(self, found: list[LandedFile]) -> None:
        """Line up what is new; a known path with other content is handed on as changed."""
        for file in found:
            known = self._waiting.get(file.path)
            if self._ledger.is_new(file) and (known is None or known.content != file.content):
                self._waiting[file.path] = replace(file, changed=True) if file.path in self._ledger.seen else file
                heapq.heappush(self._turns, (file.modified, file.path))

    def _hand_out(self, begun: BatchManifest, max_files: int) -> BatchManifest:
        if not self._waiting:
            return begun
        room_files, room_bytes = min(self.max_files, max_files), self._max_bytes
        files: list[LandedFile] = []
        while self._turns and len(files) < room_files:
            modified, path = self._turns[0]
            file = self._waiting.get(path)
            if file and file.modified == modified:
                room_bytes -= file.size
                if files and room_bytes < 0:
                    break
                files.append(self._waiting.pop(path))
            heapq.heappop(self._turns)
        self._given = BatchManifest(begun.seq + 1, tuple(files))
        fail_at("offset:before", self._given.seq - 1)
        return self._given


class Watcher(Protocol):
    """Finds the files of a landing folder that are complete."""

    def look(self) -> list[LandedFile]:
        """Every complete file, known or not."""

    def poll(self, seconds: float) -> list[LandedFile]:
        """Files that may be new; waits up to `seconds` for the first; may name one again."""

    def close(self) -> None:
        """Stop watching."""


def watcher_of(landing: Folder, finding: DiscoveryOptions, troubles: Troubles) -> Watcher:
    """The watcher of a landing folder."""
    return landing.by_kind(
        local=lambda folder: FolderWatcher(folder.path, finding.full_look_seconds, troubles, finding.endings),
        bucket=lambda folder: BucketWatcher(folder, finding.full_look_seconds, finding.list_seconds, finding.endings),
    )
