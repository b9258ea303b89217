"""From one manifest to the next: new, settled files, oldest first, each exactly once."""

from dataclasses import replace
from pathlib import Path

from jobs.streaming.failpoints import fail_at
from jobs.streaming.landing.archive import Archive
from jobs.streaming.landing.ledger import Ledger
from jobs.streaming.landing.manifest import LandedFile, Manifest
from jobs.streaming.landing.watch import LocalLanding

# An idle stream waits here for inotify: polling every millisecond cost 0.24 of a core, this 0.02.
WAIT_SECONDS = 0.1


class Finder:
    """What the source knows: the landing folder, the ledger of what was seen, and the files that wait their turn.

    Args:
        max_files, max_bytes: of one manifest, which has at least one file.
        clean: `off`, `archive` or `delete`.
    """

    def __init__(
        self, landing: Path, checkpoint: Path, max_files: int, max_bytes: int, clean: str, full_look_seconds: float
    ) -> None:
        self.max_files, self._max_bytes = max_files, max_bytes
        self._landing = LocalLanding(landing, full_look_seconds)
        self._ledger = Ledger(checkpoint / "ledger.jsonl")
        self._archive = Archive(landing, clean, checkpoint)
        self._waiting: dict[str, LandedFile] = {}
        self._given: Manifest | None = None
        self._drained: list[LandedFile] | None = None
        self._restored = False

    def drain(self) -> None:
        """Take what is there now, and nothing that comes later."""
        self._drained = self._landing.look()

    def after(self, begun: Manifest, max_files: int) -> Manifest:
        """The manifest after `begun`, or `begun` if no file settles within `WAIT_SECONDS`.

        Everything up to `begun` is processed: Spark asks for the next batch only then.
        1. Make `begun` durable in the ledger.  2. Clean up its files.  3. Look for new ones.  4. Hand out a manifest.
        """
        if self._given and self._given.seq > begun.seq:
            return self._given  # asked again: Spark did not take it yet
        if not self._restored:
            self._restore(begun)
        if begun.seq > self._ledger.last:
            self._ledger.append(begun)  # 1
            self._archive.sweep(begun.files)  # 2
        if self._drained is None:
            self._expect(self._landing.poll(0 if self._waiting else WAIT_SECONDS))  # 3
        return self._hand_out(begun, max_files)  # 4

    def close(self) -> None:
        """Stop watching the folder."""
        self._landing.close()

    def _restore(self, begun: Manifest) -> None:
        """What was found before, from the ledger; what lies in the folder now, from a full look."""
        processed = {f.path: f for manifest in self._ledger.restore(begun.seq) for f in manifest.files}
        processed |= {f.path: f for f in begun.files}
        self._ledger.append(begun)
        self._restored = True
        there = self._landing.look() if self._drained is None else self._drained
        self._archive.sweep([processed[f.path] for f in there if f.path in processed])
        self._expect(there)

    def _expect(self, found: list[LandedFile]) -> None:
        """Line up what is new; a known path with other content is handed on as changed."""
        for file in found:
            if self._ledger.is_new(file):
                self._waiting[file.path] = replace(file, changed=file.path in self._ledger.seen)

    def _hand_out(self, begun: Manifest, max_files: int) -> Manifest:
        if not self._waiting:
            return begun
        room_files, room_bytes = min(self.max_files, max_files), self._max_bytes
        files: list[LandedFile] = []
        for file in sorted(self._waiting.values(), key=lambda f: (f.modified, f.path)):
            room_bytes -= file.size
            if len(files) == room_files or (files and room_bytes < 0):
                break
            files.append(file)
        for file in files:
            del self._waiting[file.path]
        self._given = Manifest(begun.seq + 1, tuple(files))
        fail_at("offset:before", self._given.seq - 1)
        return self._given
