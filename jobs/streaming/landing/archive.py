"""What becomes of a landed file after its micro-batch: left alone, archived or deleted."""

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from jobs.streaming.failpoints import fail_at
from jobs.streaming.landing.manifest import LandedFile

ARCHIVE = "_archive"
REFUSED = "_refused"


class Archive:
    """The clean mode of a landing folder: `off`, `archive` (to `_archive/`) or `delete`.

    Nothing is lost: a file that is no longer as it was read stays, and one that was refused as a whole, of which the
    quarantine does not hold the text, is moved to `_refused/` instead of being deleted.
    """

    def __init__(self, landing: Path, mode: str, checkpoint: Path) -> None:
        self._landing, self._mode = landing, mode
        self._refusals = checkpoint / "refused.jsonl"

    def note_refused(self, paths: Iterable[str]) -> None:
        """Make durable which files were refused as a whole; before their batch is committed.

        In every mode: a later start may delete.
        """
        if lines := "".join(json.dumps(path) + "\n" for path in paths):
            with self._refusals.open("a", encoding="utf-8") as notes:
                notes.write(lines)
                notes.flush()
                os.fsync(notes.fileno())

    def sweep(self, files: Iterable[LandedFile]) -> None:
        """Clean up after processed files; doing it again does no harm."""
        if self._mode == "off":
            return
        refused = self._refused() if self._mode == "delete" else set()
        for file in files:
            path = Path(file.local_path)
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                if (status.st_size, status.st_mtime_ns) != (file.size, file.modified):
                    continue  # other content now: it comes again as changed
                fail_at("archive:before")
                if self._mode == "archive":
                    self._move(path, ARCHIVE)
                elif file.changed or file.path in refused:
                    self._move(path, REFUSED)
                else:
                    path.unlink()
                fail_at("archive:after")

    def _refused(self) -> set[str]:
        if not self._refusals.exists():
            return set()
        return {json.loads(line) for line in self._refusals.read_text("utf-8").splitlines() if line.endswith('"')}

    def _move(self, path: Path, folder: str) -> None:
        target = self._landing / folder / path.relative_to(self._landing)
        target.parent.mkdir(parents=True, exist_ok=True)
        while target.exists():  # another content of the same path was archived before
            target = target.with_name(f"{target.name}.again")
        path.rename(target)
