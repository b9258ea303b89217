"""The files in a landing folder by their names, and landing a copy of one: in a folder and in an object store."""

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import Protocol

from schemas.errors import TryAgainError
from streamscore.landing.manifest import LandedFile, file_time, local_file
from streamscore.landing.objects import landed_object
from streamscore.storage.bucket import MISSING, PRECONDITION_FAILED, BucketFolder
from streamscore.storage.folder import Folder
from streamscore.storage.object_store import code_of, reaching
from streamscore.storage.sync import sync_folder

PIECE = 2**20  # bytes of a file that are in memory while it is copied


class LandingFiles(Protocol):
    """A landing folder; names are relative to it.

    Raises:
        OSError: from every method of a local one.
        StorageError: from every method of one in an object store.
    """

    def find(self, name: str) -> LandedFile | None:
        """The file of that name; None if there is none."""

    def digest(self, file: LandedFile, name: str) -> str:
        """SHA-256 of a name and of a file's content."""

    def copy(self, file: LandedFile, name: str) -> None:
        """Land a copy under a name, whole or not at all.

        Raises:
            TryAgainError: the file is no longer as it was found.
        """

    def settle(self) -> None:
        """Make durable what was landed."""


def open_landing_files(landing: Folder) -> LandingFiles:
    """The files of a landing folder, of whichever kind."""
    return landing.by_kind(local=lambda folder: FolderFiles(folder.path), bucket=lambda folder: BucketFiles(folder))


def _changed(file: LandedFile) -> TryAgainError:
    return TryAgainError(f"{file.path} changed while it was copied; run the same again")


class FolderFiles:
    """A folder: a copy is written beside under a hidden name, and renamed."""

    def __init__(self, landing: Path) -> None:
        self._landing = landing

    def find(self, name: str) -> LandedFile | None:
        path = self._landing / name
        try:
            status = path.lstat()
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                return None
            raise
        return local_file(str(path), status) if stat.S_ISREG(status.st_mode) else None

    def digest(self, file: LandedFile, name: str) -> str:
        with open(file.local_path, "rb") as content:
            return hashlib.file_digest(content, lambda: hashlib.sha256(name.encode() + b"\n")).hexdigest()

    def copy(self, file: LandedFile, name: str) -> None:
        hidden = self._landing / f".{name}"
        with open(file.local_path, "rb") as source, hidden.open("wb") as target:
            while piece := source.read(PIECE):
                target.write(piece)
            target.flush()
            os.fsync(target.fileno())
        status = os.lstat(file.local_path)
        if (status.st_size, file_time(status)) != (file.size, file.modified):
            hidden.unlink()
            raise _changed(file)
        hidden.rename(self._landing / name)

    def settle(self) -> None:
        sync_folder(self._landing)


class BucketFiles:
    """A prefix: the store copies by itself, of whatever size, only the content that was found."""

    def __init__(self, landing: BucketFolder) -> None:
        self._landing = landing

    def find(self, name: str) -> LandedFile | None:
        landing, found = self._landing, self._landing.head(name)
        if found is None:
            return None
        return landed_object(landing.bucket, landing.key(name), found["ContentLength"], found)

    def digest(self, file: LandedFile, name: str) -> str:
        # the store knows the content by its etag: nothing is read for it
        return hashlib.sha256(name.encode() + b"\n" + file.etag.encode()).hexdigest()

    def copy(self, file: LandedFile, name: str) -> None:
        from botocore.exceptions import ClientError

        landing = self._landing
        with reaching(landing.storage, f"cannot land {landing.uri}/{name}") as client:
            try:
                client.copy(
                    {"Bucket": landing.bucket, "Key": file.key},
                    landing.bucket,
                    landing.key(name),
                    ExtraArgs={"CopySourceIfMatch": f'"{file.etag}"'},
                )
            except ClientError as error:
                if code_of(error) in PRECONDITION_FAILED | MISSING:
                    raise _changed(file) from error
                raise

    def settle(self) -> None:
        """Nothing: an answered PUT is durable."""
