"""What the source has found, durably, beside the checkpoint: one JSON line a manifest, keyed by its seq.

Spark keeps the manifests of the last batches only, so that the ledger is what tells a known file from a new one.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from jobs.streaming.failpoints import fail_at
from jobs.streaming.landing.manifest import LandedFile, Manifest
from schemas.errors import RecoveryError


class Ledger:
    """The manifests up to the one that a stream last started from.

    `seen` is path → content of every file of them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.seen: dict[str, tuple[int, int, str]] = {}
        self.last = -1

    def restore(self, seq: int) -> Iterator[Manifest]:
        """Read the manifests up to `seq` into `seen` and yield them.

        Later ones, and a line that a crash tore, are cut off: their batches never were.

        Raises:
            RecoveryError: a line before the last is torn.
        """
        self._path.touch()
        end = 0
        with self._path.open("rb") as lines:
            for line in lines:
                manifest = self._parse(line, is_last=end + len(line) == self._path.stat().st_size)
                if manifest is None or manifest.seq > seq:
                    break
                end += len(line)
                self._remember(manifest)
                yield manifest
        os.truncate(self._path, end)

    def append(self, manifest: Manifest) -> None:
        """Make a manifest durable; one that is in already is left alone."""
        if manifest.seq <= self.last:
            return
        fail_at("ledger:before", manifest.seq - 1)
        with self._path.open("ab") as ledger:
            ledger.write(json.dumps(manifest.to_offset(), separators=(",", ":")).encode() + b"\n")
            ledger.flush()
            os.fsync(ledger.fileno())
        self._remember(manifest)
        fail_at("ledger:after", manifest.seq - 1)

    def is_new(self, file: LandedFile) -> bool:
        """Whether the path was never seen, or never with this content."""
        return self.seen.get(file.path) != file.content

    def _remember(self, manifest: Manifest) -> None:
        self.last = manifest.seq
        for file in manifest.files:
            self.seen[file.path] = file.content

    def _parse(self, line: bytes, is_last: bool) -> Manifest | None:
        try:
            if not line.endswith(b"\n"):
                raise ValueError("no line end")
            return Manifest.from_offset(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            if is_last:
                return None
            raise RecoveryError(
                f"{self._path} is damaged after manifest {self.last} ({error}), wanted one JSON manifest a line; "
                f"start over from the tables: streamscore run FEED --recover"
            ) from error
