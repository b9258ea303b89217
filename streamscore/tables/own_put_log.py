"""A table's log whose next entry is put here, whole or not at all, without `deltalake`.

`deltalake` 1.6.6 lists all active files anew at every refresh and again at every commit: 4 ms at 10 files, 12 ms
at 1,000, 73 ms at 10,000, even right after a checkpoint of the log, and 340 ms after 1,000 commits without one. A blind
append needs none of them, so in a local folder the next entry of the log is put here by a hard link, in 0.2 ms
whatever the table holds; in an object store by a conditional PUT. Where that is not safe, as there is no put-if-absent,
`deltalake` commits.
"""

import json
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from schemas.errors import StorageError, TryAgainError
from streamscore.tables.delta_log import ATTEMPTS, DeltaLog
from streamscore.tables.deltalake_log import DeltalakeLog
from streamscore.tables.log_entry import actions, changes, entry_text, rearrangement_text, unusable
from streamscore.tables.parts import Part
from streamscore.tables.understood import refuse

STALE = 60.0  # seconds after which `_last_checkpoint`, a hint, is no word for it that no entry was cleaned away unseen
FRESH = 5.0  # seconds in which an object store is not asked for that: two requests a micro-batch fewer, 5 ms


class _Put(NamedTuple):
    """An entry that we put, and what `append` was told."""

    version: int
    text: str
    arguments: tuple[Sequence[Part], str, int, str]


class OwnPutLog(DeltaLog):
    """The log of a table in a folder with put-if-absent.

    A handle of `deltalake` holds about 1 KB a file of the table; this class keeps none.
    """

    _last: _Put | None = None  # what we put last

    def refresh(self) -> None:
        """Take in what was committed since; reads only the new entries: 0.05 ms if there are none."""
        self._mend()
        text = self._read(self.version + 1)
        # entries go oldest first: none is missed before one
        if text is None and self._may_have_missed(self.version + 1):
            self._load()
            return
        while text is not None:
            self._take_in(text)
            text = self._read(self.version + 1)
        self._looked_at = time.time()

    def append(self, parts: Sequence[Part], app_id: str, number: int, metadata: str) -> int:
        self._assert_next(app_id, number)
        self._assert_store_refuses()
        if not self._can_put:
            self.fits = False
            return DeltalakeLog.instead_of(self).append(parts, app_id, number, metadata)
        for _ in range(ATTEMPTS):  # a put that succeeds comes right after all entries that were looked at
            version = self.version + 1
            text = entry_text(parts, app_id, number, metadata, self.version)
            if self._put(version, text):
                self.version, self._transactions[app_id] = version, number
                self._assert_still_there(version, app_id, number)
                self._last = _Put(version, text, (parts, app_id, number, metadata))
                return version
            self.refresh()
            self._assert_next(app_id, number)
        msg = f"{self.uri}: {ATTEMPTS} commits of others came first; stop them or try again"
        raise StorageError(msg)

    @property
    def can_rearrange(self) -> bool:
        return not self.obstacle and self._can_put

    def rearrange(self, old: Mapping[str, int], part: Part, read: int) -> int:
        refuse(self.uri, self.obstacle, only_added_to=False)
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
        self._look(self.handle())
        self._looked_at = time.time()

    def _may_have_missed(self, version: int) -> bool:
        """Whether that entry may have been there, and gone: those before a checkpoint may be cleaned up, oldest first.

        Where the entry before it is still there, it was not; to open the table instead takes 0.5 s at 100,000 files.
        """
        age = time.time() - self._looked_at
        if self.folder.is_remote and age < FRESH:
            return False
        return self.last_checkpoint() >= version or (age > STALE and self._read(version - 1) is None)

    def _take_in(self, text: str) -> None:
        """Note what the next entry says: its transactions, and what it changes of the table itself."""
        for kind, action in changes(text):
            if kind == "txn":
                self._transactions[action["appId"]] = action["version"]
            elif kind in ("protocol", "metaData"):
                self._see(kind, action)
        self.version += 1

    def _mend(self) -> None:
        """Commit again what another writer wrote over: of what we put last, one that renames may not have known.

        Spark looks whether an entry is there, then renames its own to that name: in a local folder, a put in between
        is lost. A store's conditional PUTs are not.
        """
        last = self._last
        if last is None or self.folder.is_remote:
            return
        if self._read(last.version) in (last.text, None):  # None: cleaned away
            return
        import structlog  # 0.2 s, which each Python worker of Spark would pay

        structlog.get_logger().warning("commit overwritten by another writer", table=self.uri, version=last.version)
        self._last = None
        try:
            self._load()  # what is in its place may say anything
            self.append(*last.arguments)
        except BaseException:
            self._last = last
            raise

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
        if any(path in old for path in taken) or any(kind in ("metaData", "protocol") for kind, _ in changes(text)):
            msg = f"{self.uri}: another commit changed what was to be compacted; try again"
            raise TryAgainError(msg)
