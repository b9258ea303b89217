"""What the source has found, durably, beside the checkpoint: one JSON line a manifest, keyed by its seq.

Spark keeps the manifests of the last batches only, so that the ledger is what tells a known file from a new one.
"""

import json
from collections.abc import Iterator

from schemas.errors import RecoveryError
from streamscore.failpoints import fail_at
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.storage.journal import Journal

NAME = "ledger"


class Ledger:
    """The manifests up to the one that a stream last started from.

    `seen` is path → content of every file of them.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.seen: dict[str, tuple[int, int, str]] = {}
        self.last = -1

    def restore(self, seq: int) -> Iterator[BatchManifest]:
        """Read the manifests up to `seq` into `seen` and yield them; later ones are cut off: their batches never were.

        Raises:
            RecoveryError: a manifest is damaged, or missing: files would be scored twice.
        """
        self.seen, self.last = {}, -1
        for number, line in enumerate(self._journal.lines()):
            manifest = self._parse(line)
            if manifest.seq > seq:
                self._journal.cut(number)
                break
            if self.last >= 0 and manifest.seq not in (self.last, self.last + 1):
                msg = f"manifest {manifest.seq} follows"
                raise self._damaged(msg)
            self._remember(manifest)
            yield manifest
        if self.last < seq - 1:
            msg = f"manifest {seq} is the stream's"
            raise self._damaged(msg)

    def append(self, manifest: BatchManifest) -> None:
        """Make a manifest durable; one that is in already is left alone."""
        if manifest.seq <= self.last:
            return
        fail_at("ledger:before", manifest.seq - 1)
        self._journal.append(json.dumps(manifest.to_offset(), separators=(",", ":")).encode())
        self._remember(manifest)
        fail_at("ledger:after", manifest.seq - 1)

    def is_new(self, file: LandedFile) -> bool:
        """Whether the path was never seen, or never with this content."""
        return self.seen.get(file.path) != file.content

    def _remember(self, manifest: BatchManifest) -> None:
        self.last = manifest.seq
        for file in manifest.files:
            self.seen[file.path] = file.content

    def _parse(self, line: bytes) -> BatchManifest:
        try:
            return BatchManifest.from_offset(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, found: str) -> RecoveryError:
        return RecoveryError(
            f"the checkpoint's ledger is damaged after manifest {self.last} ({found}), wanted one manifest a line; "
            f"start over from the tables: streamscore run FEED --recover"
        )
