"""Where landed files are now: those that were refused as a whole, and those of a replay."""

import functools
import os
from collections.abc import Iterable, Iterator

from jobs.operations.replay.landing_files import LandingFiles
from jobs.operations.stream_state import files_in_ledger, files_planned
from schemas.reasons import Reason
from streamscore.landing.archive import ARCHIVE, REFUSED
from streamscore.landing.manifest import LandedFile, landed_name, source_file
from streamscore.storage.places import as_uri
from streamscore.storage.stream_paths import StreamPaths


class Originals:
    """Looks for refused files in the landing folder, its `_archive/` and its `_refused/`."""

    def __init__(self, paths: StreamPaths, landing_files: LandingFiles) -> None:
        self._paths, self._landing_files = paths, landing_files

    def find(self, name: str, reason: str) -> LandedFile | str:
        """The refused content of a landed file, or why it is not to be had.

        A file that is not as it was found is never taken for it: the stream itself will tell of the new content. For
        `file_changed` it is what the path holds now, unless that is the content that was scored.

        Args:
            name: relative to the landing folder, as in `source_file`.
        """
        first = self._first.get(name)
        if first is None:
            return "neither ledger nor offset log knows the file; land it again by hand"
        there = list(self._candidates(name))
        if not there:
            return "the file is gone; land it again by hand"
        if reason == Reason.FILE_CHANGED:
            other = [file for file in there if _is_other(file, first)]
            now = [file for file in other if file.path == first.path]
            newest = max(other, key=lambda file: file.modified, default=None)
            return now[0] if now else newest or "only the content that was scored is left"
        same = [file for file in there if _may_be(file, first)]
        return same[0] if same else f"the file has changed since: wanted {first.size:,} bytes; land it again by hand"

    @functools.cached_property
    def _first(self) -> dict[str, LandedFile]:
        """Name → the content that it was first found with: the only one that is ever scored."""
        landing, first = as_uri(self._paths.landing.uri), dict[str, LandedFile]()
        for files in (files_in_ledger(self._paths.checkpoint), files_planned(self._paths.checkpoint)):
            for file in files:
                first.setdefault(source_file(file, landing), file)
        return first

    def _candidates(self, name: str) -> Iterator[LandedFile]:
        landed = os.fsdecode(landed_name(name))
        if file := self._landing_files.find(landed):
            yield file
        for folder in (ARCHIVE, REFUSED):
            archived = f"{folder}/{landed}"
            while file := self._landing_files.find(archived):
                yield file
                archived += ".again"  # another content of the same path, as the archive names it


def _may_be(file: LandedFile, first: LandedFile) -> bool:
    """Whether a file can have the content that was found first; what is archived may have got another time."""
    return file.size == first.size and not (file.etag and _is_other(file, first))


def _is_other(file: LandedFile, first: LandedFile) -> bool:
    """Whether a file surely has another content.

    An etag with a dash is of an upload in several parts, and is another one after the same content was archived.
    """
    if "-" in file.etag + first.etag:
        return file.size != first.size
    return file.content != first.content


def landed_before(names: Iterable[str], paths: StreamPaths, landing_files: LandingFiles) -> set[str]:
    """Those of the names that the landing folder, its archive, the ledger or the offset log knows.

    The folders come first: a file that leaves them meanwhile is in the logs by then.
    """
    wanted = set(names)
    lying = {
        name for name in wanted for folder in ("", f"{ARCHIVE}/", f"{REFUSED}/") if landing_files.find(folder + name)
    }
    if lying == wanted:
        return lying
    logs = (files_planned(paths.checkpoint), files_in_ledger(paths.checkpoint))
    return lying | (wanted & {file.path.rpartition("/")[2] for log in logs for file in log})
