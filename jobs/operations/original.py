"""Where landed files are now: those that were refused as a whole, and those of a replay."""

import functools
from collections.abc import Iterator
from pathlib import Path

from jobs.operations.look import Places, files_in_ledger, files_planned
from jobs.streaming.landing.archive import ARCHIVE, REFUSED
from jobs.streaming.landing.manifest import source_file
from schemas.reasons import Reason


class Originals:
    """Looks for refused files in the landing folder, its `_archive/` and its `_refused/`."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def find(self, name: str, reason: str) -> Path | str:
        """The refused content of a landed file, or why it is not to be had.

        A file that is not as it was found is never taken for it: the stream itself will tell of the new content. For
        `file_changed` it is what the path holds now, unless that is the content that was scored.

        Args:
            name: relative to the landing folder, as in `source_file`.
        """
        first = self._first.get(name)
        if first is None:
            return "neither ledger nor offset log knows the file; land it again by hand"
        there = [(path, path.stat()) for path in self._candidates(name)]
        if not there:
            return "the file is gone; land it again by hand"
        if reason == Reason.FILE_CHANGED:
            other = [(path, status) for path, status in there if (status.st_size, status.st_mtime_ns) != first]
            now = [path for path, _ in other if path == self._places.landing / name]
            newest = max(other, key=lambda found: found[1].st_mtime_ns, default=None)
            return now[0] if now else newest[0] if newest else "only the content that was scored is left"
        same = [path for path, status in there if status.st_size == first[0]]
        return same[0] if same else f"the file has changed since: wanted {first[0]:,} bytes; land it again by hand"

    @functools.cached_property
    def _first(self) -> dict[str, tuple[int, int]]:
        """Name → size and time of the content that it was first found with: the only one that is ever scored."""
        landing, first = self._places.landing.as_uri(), dict[str, tuple[int, int]]()
        for files in (files_in_ledger(self._places.checkpoint), files_planned(self._places.checkpoint)):
            for file in files:
                first.setdefault(source_file(file, landing), (file.size, file.modified))
        return first

    def _candidates(self, name: str) -> Iterator[Path]:
        landing = self._places.landing
        for path in (landing / name, landing / ARCHIVE / name, landing / REFUSED / name):
            while path.is_file():
                yield path
                if path.parent == landing / Path(name).parent:
                    break
                path = path.with_name(f"{path.name}.again")  # another content of the same path, as the archive names it


def was_landed(name: str, places: Places) -> bool:
    """Whether the landing folder, its archive, the ledger or the offset log knows a file."""
    landing, checkpoint = places.landing, places.checkpoint
    if any((folder / name).exists() for folder in (landing, landing / ARCHIVE, landing / REFUSED)):
        return True
    entry = f'/{name}"'.encode()  # the end of a path in JSON
    logs = [checkpoint / "ledger.jsonl", *(checkpoint / "offsets").glob("[0-9]*")]
    for log in logs:
        if log.is_file():
            with log.open("rb") as lines:
                if any(entry in line for line in lines):
                    return True
    return False
