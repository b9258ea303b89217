"""A table's log whose next entry is put here, whole or not at all, without `deltalake`.

`deltalake` 1.6.6 lists all active files anew at every refresh and again at every commit: 4 ms at 10 files, 12 ms
at 1,000, 73 ms at 10,000, even right after a checkpoint of the log, and 340 ms after 1,000 commits without one. A blind
append needs none of them, so in a local folder the next entry of the log is put here by a hard link, in 0.2 ms
whatever the table holds; in an object store by a conditional PUT. Where that is not safe (no put-if-absent, a table
with features beyond Delta's writer version 2) `deltalake` commits.
"""

import json
import time
from collections.abc import Mapping, Sequence

from schemas.errors import StorageError, TryAgainError
from streamscore.tables.delta_log import ATTEMPTS, DeltaLog
from streamscore.tables.deltalake_log import DeltalakeLog
from streamscore.tables.log_entry import actions, entry_text, rearrangement_text, unusable
from streamscore.tables.parts import Part

STALE = 60.0  # seconds after which the next entry may have been written and cleaned away unseen
FRESH = 5.0  # seconds in which an object store is not asked for that: two requests a micro-batch fewer, 5 ms
SIMPLE_WRITER = 2  # up to this writer version a table has no features that an append must honour


class OwnPutLog(DeltaLog):
    """The log of a table without features that an append must honour, in a folder with put-if-absent.

    A handle of `deltalake` holds about 1 KB a file of the table; this class keeps none.
    """

    def refresh(self) -> None:
        """Take in what was committed since; reads only the new entries: 0.03 ms if there are none."""
        text = self._read(self.version + 1)
        # entries go oldest first: none is missed before one
        if text is None and self._may_have_missed(self.version + 1):
            self._load()
            return
        while text is not None:
            if self._take_in(text):
                self._load()
            else:
                self.version += 1
            text = self._read(self.version + 1)
        self._looked_at = time.time()

    def append(self, parts: Sequence[Part], app_id: str, number: int, metadata: str) -> int:
        self._assert_newer(app_id, number)
        self._assert_store_refuses()
        if not (self.fits and self._can_put):
            self.fits = False
            return DeltalakeLog(self.uri, self.storage).append(parts, app_id, number, metadata)
        for _ in range(ATTEMPTS):
            version = self.version + 1
            if self._put(version, entry_text(parts, app_id, number, metadata, self.version)):
                self.version, self._transactions[app_id] = version, number
                self._assert_still_there(version, app_id, number)
                return version
            self.refresh()
            self._assert_newer(app_id, number)
        msg = f"{self.uri}: {ATTEMPTS} commits of others came first; stop them or try again"
        raise StorageError(msg)

    @property
    def can_rearrange(self) -> bool:
        return self.fits and self._can_put

    def rearrange(self, old: Mapping[str, int], part: Part, read: int) -> int:
        version = read + 1
        for _ in range(ATTEMPTS):
            while (text := self._read(version)) is not None:
                self._assert_apart(text, old)
                version += 1
            if self._put(version, rearrangement_text(old, part, version - 1)):
                break
        else:
            msg = f"{self.uri}: {ATTEMPTS} commits of others came first; try again"
            raise TryAgainError(msg)
        if self.last_checkpoint() >= version and part.path not in self.handle().get_add_actions()["path"].to_pylist():
            self._log.delete(f"{version:020}.json")  # the entries after `read` had been cleaned away
            msg = f"{self.uri}: version {version} is long past, compaction came too late; try again"
            raise TryAgainError(msg)
        return version

    def _load(self) -> None:
        table = self.handle()
        self._look(table)
        self._looked_at = time.time()
        protocol = table.protocol()
        self.fits = protocol.min_writer_version <= SIMPLE_WRITER and not protocol.writer_features

    def _may_have_missed(self, version: int) -> bool:
        """Whether that entry may have been there, and gone: those up to a checkpoint may be cleaned away."""
        age = time.time() - self._looked_at
        if self.folder.is_remote and age < FRESH:
            return False
        return age > STALE or self.last_checkpoint() >= version

    def _take_in(self, text: str) -> bool:
        """Note an entry's transactions; whether the table itself was changed by it."""
        for line in actions(text, "txn"):
            transaction = json.loads(line)["txn"]
            self._transactions[transaction["appId"]] = transaction["version"]
        return any(True for _ in actions(text, "metaData", "protocol"))

    def _put(self, version: int, text: str) -> bool:
        """Create an entry, whole; False if there is one."""
        try:
            return self._log.create(f"{version:020}.json", text.encode())
        except OSError as error:
            raise unusable(self.uri, "commit to", error) from error

    def _assert_still_there(self, version: int, app_id: str, number: int) -> None:
        """Who slept between refresh and put may have put an entry that clean-up had removed: nobody would read it."""
        if not app_id or not self._may_have_missed(version):
            return
        found = self.handle().transaction_version(app_id)
        if found is None or found < number:
            self._log.delete(f"{version:020}.json")
            msg = f"{self.uri}: version {version} is long past, this commit came too late; try again"
            raise StorageError(msg)

    def _assert_apart(self, text: str, old: Mapping[str, int]) -> None:
        taken = (json.loads(line)["remove"]["path"] for line in actions(text, "remove"))
        if any(path in old for path in taken) or any(True for _ in actions(text, "metaData", "protocol")):
            msg = f"{self.uri}: another commit changed what was to be compacted; try again"
            raise TryAgainError(msg)
