"""What becomes of a landed file after its micro-batch: left alone, archived or deleted."""

import contextlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from schemas.errors import ConflictError, StorageError
from streamscore.failpoints import fail_at
from streamscore.landing.manifest import BatchManifest, LandedFile
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
    either: no file goes before everything that takes its place is synced.

    Attributes:
        keeps: mode `off`.
    """

    def __init__(self, landing: Folder, mode: str, refusals: Journal, results: Sequence[Folder]) -> None:
        """Touch nothing yet.

        Args:
            results: where everything lies that takes a file's place: tables and checkpoint.
        """
        self.keeps = mode == "off"
        self._mode, self._refusals, self._results = mode, refusals, results
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
        refused = set(map(json.loads, self._refusals.lines())) if self._mode == "delete" else set()
        self._cleaner.clean({file: self._target(file, refused) for file in files})  # 2

    def unswept(self, newest_first: Iterable[BatchManifest]) -> list[LandedFile]:
        """The files of processed manifests, up to the newest whose first file has left the landing folder."""
        files: list[LandedFile] = []
        for manifest in () if self.keeps else newest_first:
            if manifest.files and not self._cleaner.is_there(manifest.files[0]):
                break
            files += manifest.files
        return files

    def _target(self, file: LandedFile, refused: set[str]) -> str:
        if self._mode == "archive":
            return ARCHIVE
        return REFUSED if file.changed or file.path in refused else ""


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

    def clean(self, targets: dict[LandedFile, str]) -> None:
        """Move each file that is as it was found to its folder, or delete it where that is empty."""

    def is_there(self, file: LandedFile) -> bool:
        """Whether the landing folder has a file of that name."""


def cleaner_of(landing: Folder) -> Cleaner:
    """The cleaner of a landing folder."""
    return landing.by_kind(local=lambda folder: FolderCleaner(folder.path), bucket=lambda folder: BucketCleaner(folder))


class FolderCleaner:
    """Renames and removes files of a local folder."""

    def __init__(self, landing: Path) -> None:
        self._landing = landing

    def clean(self, targets: dict[LandedFile, str]) -> None:
        left, entered = set[Path](), set[Path]()
        for file, folder in targets.items():
            path = Path(file.local_path)
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                if (status.st_size, status.st_mtime_ns) != (file.size, file.modified):
                    continue  # other content now: it comes again as changed
                fail_at("archive:before")
                if folder:
                    entered.add(self._move(path, folder))
                    left.add(path.parent)
                else:
                    path.unlink()
                fail_at("archive:after")
        for place in (*entered, *left):  # a power cut leaves a moved file in one of the two, or in both
            with contextlib.suppress(FileNotFoundError):  # a sub-folder that was removed since
                sync_folder(place)

    def is_there(self, file: LandedFile) -> bool:
        return Path(file.local_path).exists()

    def _move(self, path: Path, folder: str) -> Path:
        target = self._landing / folder / path.relative_to(self._landing)
        make_folder(target.parent)
        while target.exists():  # another content of the same path was archived before
            target = target.with_name(f"{target.name}.again")
        path.rename(target)
        return target.parent


class BucketCleaner:
    """Copy and DELETE, each only of the content that was found, where the store honours `If-Match` on a DELETE."""

    def __init__(self, landing: BucketFolder) -> None:
        self._landing = landing

    def clean(self, targets: dict[LandedFile, str]) -> None:
        with ThreadPoolExecutor(min(CLEANERS, len(targets) or 1)) as cleaners:
            list(cleaners.map(self._clean_one, *zip(*targets.items(), strict=True)) if targets else ())

    def is_there(self, file: LandedFile) -> bool:
        return self._landing.head(self._name(file)) is not None

    def _name(self, file: LandedFile) -> str:
        return file.key.removeprefix(self._landing.key(""))

    def _clean_one(self, file: LandedFile, folder: str) -> None:
        from botocore.exceptions import ClientError

        landing, etag, name = self._landing, f'"{file.etag}"', self._name(file)
        source = {"Bucket": landing.bucket, "Key": file.key}
        with reaching(landing.storage, f"cannot clean up {file.path}") as client:
            try:
                fail_at("archive:before")
                if folder:
                    key = landing.key(self._free(f"{folder}/{name}", etag))
                    client.copy_object(Bucket=landing.bucket, Key=key, CopySource=source, CopySourceIfMatch=etag)
                else:
                    client.head_object(**source, IfMatch=etag)
                client.delete_object(**source, IfMatch=etag)
                fail_at("archive:after")
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
                    raise
                if code_of(error) not in PRECONDITION_FAILED | MISSING:  # else it is gone, or comes again as changed
                    import structlog  # 0.2 s, which each Python worker of Spark would pay

                    said = store_error(landing.storage, f"{file.path} stays where it is", error)
                    structlog.get_logger().warning("not cleaned up", error=str(said))

    def _free(self, target: str, etag: str) -> str:
        """A key that is free, or holds this very content: of a copy whose DELETE a crash prevented."""
        while (there := self._landing.head(target)) and there["ETag"] != etag:
            target += ".again"  # another content of the same path was archived before
        return target
