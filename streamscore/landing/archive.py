"""What becomes of a landed file after its micro-batch: left alone, archived or deleted."""

import contextlib
import errno
import json
import os
import stat
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from schemas.errors import ConflictError, StorageError
from streamscore.failpoints import fail_at
from streamscore.landing.manifest import BatchManifest, LandedFile, file_time
from streamscore.landing.troubles import NOT_CLEANED_UP, Troubles
from streamscore.storage.bucket import MISSING, PRECONDITION_FAILED, BucketFolder
from streamscore.storage.folder import Folder
from streamscore.storage.journal import Journal
from streamscore.storage.object_store import code_of, reaching, store_error
from streamscore.storage.sync import make_folder, sync_folder

ARCHIVE = "_archive"
REFUSED = "_refused"
REFUSALS = "refused"  # name of the journal
CLEANERS = 16  # requests to an object store at a time


class Archive:
    """The clean mode of a landing folder: `off`, `archive` (to `_archive/`) or `delete`.

    Nothing is lost: a file that is no longer as it was read stays, and one that was refused as a whole, of which the
    quarantine does not hold the text, is moved to `_refused/` instead of being deleted. A power cut loses nothing
    either: no file goes before everything that takes its place is synced. A file that cannot be moved or deleted stays
    too, and is noted in `troubles`; the others are cleaned up all the same.

    Attributes:
        keeps: mode `off`.
    """

    def __init__(
        self,
        landing: Folder,
        mode: str,
        refusals: Journal,
        results: Sequence[Folder],
        troubles: Troubles | None = None,
    ) -> None:
        """Touch nothing yet.

        Args:
            results: where everything lies that takes a file's place: tables and checkpoint.
        """
        self.keeps = mode == "off"
        self._mode, self._refusals, self._results = mode, refusals, results
        self.troubles = troubles or Troubles()
        self._refused: set[str] = set()
        self._cleaner = cleaner_of(landing)

    def note_refused(self, paths: Iterable[str]) -> None:
        """Make durable which files were refused as a whole; before their batch is committed.

        In every mode: a later start may delete.
        """
        if lines := [json.dumps(path).encode() for path in paths]:
            try:
                self._refusals.append(*lines)
            except ConflictError:  # of another driver's notes, which do no harm: behind them
                list(self._refusals.lines())
                self._refusals.append(*lines)

    def sweep(self, files: Sequence[LandedFile]) -> None:
        """Clean up after processed files; doing it again does no harm.

        1. Sync what takes their place, once for all of them: parts, log entries, Spark's offsets and commits, the
        ledger, and their folders.  2. Move or delete them.

        Raises:
            StorageError: what takes their place cannot be synced; or, in an object store, they cannot be cleaned up.
        """
        if self.keeps or not files:
            return
        for folder in self._results:  # 1
            _sync(folder)
        if self._mode == "delete":
            self._refused.update(map(json.loads, self._refusals.more()))
        stayed = self._cleaner.clean({file: self._target(file) for file in files})  # 2
        self.troubles.over(NOT_CLEANED_UP, (name for file in files if (name := self._cleaner.name(file)) not in stayed))
        for name, why in stayed.items():
            self.troubles.note(NOT_CLEANED_UP, name, why)

    def forget_all_but(self, files: Sequence[LandedFile]) -> None:
        """Of the processed files, only these are still there: the others do not stay any more."""
        self.troubles.only(NOT_CLEANED_UP, () if self.keeps else set(map(self._cleaner.name, files)))

    def unswept(self, newest_first: Iterable[BatchManifest]) -> list[LandedFile]:
        """The files of processed manifests, up to the newest whose first file has left the landing folder."""
        files: list[LandedFile] = []
        for manifest in () if self.keeps else newest_first:
            if manifest.files and not self._cleaner.is_there(manifest.files[0]):
                break
            files += manifest.files
        return files

    def _target(self, file: LandedFile) -> str:
        if self._mode == "archive":
            return ARCHIVE
        return REFUSED if file.changed or file.path in self._refused else ""


def _sync(folder: Folder) -> None:
    try:
        folder.sync()
    except OSError as error:
        msg = (
            f"{folder.uri} cannot be synced to its disk: {error.strerror or error}; no processed file leaves the "
            f"landing folder before that; look: streamscore doctor"
        )
        raise StorageError(msg) from error


class Cleaner(Protocol):
    """Clears processed files out of a landing folder."""

    def clean(self, targets: dict[LandedFile, str]) -> dict[str, str]:
        """Move each file that is as it was found to its folder, or delete it where that is empty.

        Returns:
            Name, relative to the landing folder, → why, of each file that could not be moved or deleted.
        """

    def is_there(self, file: LandedFile) -> bool:
        """Whether the landing folder has a file of that name."""

    def name(self, file: LandedFile) -> str:
        """Its name, relative to the landing folder."""


def cleaner_of(landing: Folder) -> Cleaner:
    """The cleaner of a landing folder."""
    return landing.by_kind(local=lambda folder: FolderCleaner(folder.path), bucket=lambda folder: BucketCleaner(folder))


class FolderCleaner:
    """Renames and removes files of a local folder."""

    def __init__(self, landing: Path) -> None:
        self._landing = landing

    def clean(self, targets: dict[LandedFile, str]) -> dict[str, str]:
        made, left = set[Path](), set[Path]()  # folders in `_archive/` and `_refused/`; folders that files left
        stayed = {}
        for file, folder in targets.items():
            path = Path(file.local_path)
            try:
                status = path.lstat()
            except OSError:
                continue  # gone, or its folder is
            if not stat.S_ISREG(status.st_mode) or (status.st_size, file_time(status)) != (file.size, file.modified):
                continue  # other content now: it comes again as changed
            fail_at("archive:before")
            try:
                if folder:
                    self._move(path, folder, made)
                    left.add(path.parent)
                else:
                    path.unlink()
            except OSError as error:
                stayed[self.name(file)] = _why_it_stays(error, path)
            fail_at("archive:after")
        for place in (*made, *left):  # a power cut leaves a moved file in one of the two, or in both
            with contextlib.suppress(OSError):  # a sub-folder that was removed since, or that we may not read
                sync_folder(place)
        return stayed

    def is_there(self, file: LandedFile) -> bool:
        return os.path.lexists(file.local_path)

    def name(self, file: LandedFile) -> str:
        return os.path.relpath(file.local_path, self._landing)

    def _move(self, path: Path, folder: str, made: set[Path]) -> None:
        target = self._landing / folder / path.relative_to(self._landing)
        if target.parent not in made:
            self._make(target.parent)
            made.add(target.parent)
        while os.path.lexists(target):  # another content of the same path was archived before
            target = target.with_name(f"{target.name}.again")
        path.rename(target)

    def _make(self, folder: Path) -> None:
        """Make a folder in the landing folder; whoever writes there must not lead us out of it by a link."""
        made = self._landing
        for part in folder.relative_to(self._landing).parts:
            made /= part
            if made.is_symlink():
                raise OSError(errno.ELOOP, "is a link, wanted a folder", str(made))
            make_folder(made)


def _why_it_stays(error: OSError, path: Path) -> str:
    where = f" ({error.filename})" if error.filename != str(path) else ""
    return f"it stays where it is: {error.strerror}{where}; move it by hand, or let this user write its folder"


class BucketCleaner:
    """Copy and DELETE, each only of the content that was found, where the store honours `If-Match` on a DELETE."""

    def __init__(self, landing: BucketFolder) -> None:
        self._landing = landing

    def clean(self, targets: dict[LandedFile, str]) -> dict[str, str]:
        with ThreadPoolExecutor(min(CLEANERS, len(targets) or 1)) as cleaners:
            stayed = list(cleaners.map(self._clean_one, *zip(*targets.items(), strict=True)) if targets else ())
        return {self.name(file): why for file, why in zip(targets, stayed, strict=True) if why}

    def is_there(self, file: LandedFile) -> bool:
        return self._landing.head(self.name(file)) is not None

    def name(self, file: LandedFile) -> str:
        return file.key.removeprefix(self._landing.key(""))

    def _clean_one(self, file: LandedFile, folder: str) -> str:
        """Why the object stays; empty if it does not."""
        from botocore.exceptions import ClientError

        landing, etag = self._landing, f'"{file.etag}"'
        source = {"Bucket": landing.bucket, "Key": file.key}
        with reaching(landing.storage, f"cannot clean up {file.path}") as client:
            try:
                fail_at("archive:before")
                if folder:
                    key = self._free(client, landing.key(f"{folder}/{self.name(file)}"), etag)
                    client.copy_object(Bucket=landing.bucket, Key=key, CopySource=source, CopySourceIfMatch=etag)
                else:
                    client.head_object(**source, IfMatch=etag)
                client.delete_object(**source, IfMatch=etag)
                fail_at("archive:after")
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
                    raise
                if code_of(error) not in PRECONDITION_FAILED | MISSING:  # else it is gone, or comes again as changed
                    return str(store_error(landing.storage, "it stays where it is", error))
        return ""

    def _free(self, client: Any, key: str, etag: str) -> str:
        """A key that is free, or holds this very content: of a copy whose DELETE a crash prevented."""
        from botocore.exceptions import ClientError

        while True:
            try:
                there = client.head_object(Bucket=self._landing.bucket, Key=key)
            except ClientError as error:
                if code_of(error) in MISSING:
                    return key
                raise
            if there["ETag"] == etag:
                return key
            key += ".again"  # another content of the same path was archived before
