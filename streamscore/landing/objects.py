"""Finding new objects under a prefix of an object store, with a bounded rate of LIST requests.

An object is whole as soon as it is there. A LIST after the key that came last finds what is named in the order of time,
and takes 4 ms however many objects there are. A walk over everything, page by page between those LISTs, finds the rest:
now and then, as it takes 0.16 ms an object; or all the time, where names proved to be in no order and are one page.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from schemas.dialect import ENDINGS
from schemas.errors import StorageError
from streamscore.landing.entries import HIDDEN
from streamscore.landing.manifest import LandedFile, within_tables
from streamscore.storage.bucket import BucketFolder
from streamscore.storage.object_store import reaching

TAIL = 100  # objects in a LIST that may run into an archive
PAUSE = 10  # a walk begins so many times its LISTs' time after the one before it


class BucketWatcher:
    """A landing folder in an object store, sub-folders included.

    Raises:
        StorageError: from `look` and `poll`, when the store does not answer.
    """

    def __init__(
        self,
        folder: BucketFolder,
        full_look_seconds: float,
        list_seconds: float,
        endings: tuple[str, ...] = ENDINGS,
    ) -> None:
        self._folder, self._endings = folder, endings
        self._full_look_seconds, self._list_seconds = full_look_seconds, list_seconds
        self._walk: Iterator[list[LandedFile]] | None = None
        self._walk_seconds = self._next_walk = self._next_list = 0.0
        self._newest = 0, folder.key("")  # time and key of the object that came last
        self._is_ordered = True  # the objects that came last had greater keys than those before them
        self._pages = 0  # of the walk on its way; of the one before it if there is none
        self._tails = False  # in a large walk: this LIST is one after the key that came last

    def look(self) -> list[LandedFile]:
        """Every object, known or not."""
        self._walk = None
        return [file for page in self._pages_of("") for file in page]

    def poll(self, seconds: float) -> list[LandedFile]:
        """Objects that may be new; waits up to `seconds` for the first; may name again what was named before."""
        until = time.monotonic() + seconds
        while True:
            pause = self._next_list - time.monotonic()
            if pause > 0:
                if time.monotonic() + pause > until:
                    time.sleep(max(0.0, until - time.monotonic()))
                    return []
                time.sleep(pause)
            try:
                found = self._list()
            finally:  # counted from the answer: then the store, too, sees them so far apart
                self._next_list = time.monotonic() + self._list_seconds
            if found:
                return found
            if time.monotonic() >= until:
                return []

    def close(self) -> None:
        """Nothing is held open."""

    def _list(self) -> list[LandedFile]:
        """One LIST request."""
        begun, is_large = time.monotonic(), self._pages > 1
        if self._walk is None and begun >= self._next_walk:
            self._walk, self._walk_seconds, self._pages = self._pages_of(""), 0.0, 0
        self._tails = is_large and not self._tails
        if self._walk is None or self._tails:
            return self._tail()
        try:
            page = next(self._walk, None)
        except StorageError:
            self._walk, self._next_walk = None, 0.0  # from its beginning, and at once
            raise
        now = time.monotonic()
        if page is not None:
            self._pages += 1
            self._walk_seconds += now - begun
            return page
        self._walk = None
        if self._pages <= 1 and not self._is_ordered:
            return self._list()  # the end of a walk costs no LIST
        self._next_walk = now + min(self._full_look_seconds, PAUSE * self._walk_seconds)
        return self._tail()

    def _tail(self) -> list[LandedFile]:
        """What has a greater key than the object that came last; an archive, whose keys are greater, costs little."""
        _, key = self._newest
        is_flat = "/" not in key[len(self._folder.key("")) :]
        return self._request(StartAfter=key, **({"Delimiter": "/"} if is_flat else {"MaxKeys": TAIL}))[0]

    def _pages_of(self, under: str) -> Iterator[list[LandedFile]]:
        """A LIST each; hidden folders are passed over, other folders walked: as deep as keys go, which is far."""
        waiting: list[tuple[str, dict[str, Any]]] = [(under, {})]
        while waiting:
            folder, token = waiting.pop()
            files, folders, following = self._request(folder, Delimiter="/", **token)
            yield files
            if following is not None:
                waiting.append((folder, {"ContinuationToken": following}))
            waiting += [(f"{name}/", {}) for name in folders if not name.rpartition("/")[2].startswith(HIDDEN)]

    def _request(self, under: str = "", **how: Any) -> tuple[list[LandedFile], list[str], str | None]:
        """Landed files, the names of folders, and the token of the next page."""
        folder = self._folder
        with reaching(folder.storage, f"cannot list {folder.uri}") as client:
            page = client.list_objects_v2(Bucket=folder.bucket, Prefix=folder.key(under), **how)
        now, start = time.time_ns(), len(folder.key(""))
        files = [
            landed_object(folder.bucket, entry["Key"], entry["Size"], entry, now)
            for entry in page.get("Contents", ())
            if is_landed(entry["Key"][start:], self._endings)
        ]
        if new := [at for file in files if (at := (file.modified, file.key)) > self._newest]:
            self._is_ordered = min(key for _, key in new) > self._newest[1]
            self._newest = max(new)
        folders = [entry["Prefix"][start:-1] for entry in page.get("CommonPrefixes", ())]
        return files, folders, page.get("NextContinuationToken")


def landed_object(bucket: str, key: str, size: int, answer: Mapping[str, Any], found: int = 0) -> LandedFile:
    """An object as a landed file; its time and etag are in an entry of a LIST as in the answer to a HEAD."""
    modified = within_tables(int(answer["LastModified"].timestamp() * 1_000_000) * 1000)
    return LandedFile(f"s3://{bucket}/{quote(key)}", size, modified, answer["ETag"].strip('"'), found)


def is_landed(name: str, endings: tuple[str, ...] = ENDINGS) -> bool:
    """Whether an object of that name, relative to the landing folder, is a landed file."""
    return name.lower().endswith(endings) and not any(part.startswith(HIDDEN) for part in name.split("/"))
