"""A setting's folder: of this machine, or of the object store."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from schemas.errors import StorageError
from streamscore.storage.bucket import BucketFolder
from streamscore.storage.folder import Folder, LocalFolder
from streamscore.storage.object_store import assert_reachable, bucket_and_key, is_object_uri

if TYPE_CHECKING:
    from schemas.feed import Feed
    from schemas.settings import Settings, Storage


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a stream reads and writes; they are there.

    Attributes:
        scratch: a folder of this machine, for model versions and for the code that executors get.
    """

    landing: Folder
    tables: str
    checkpoint: Folder
    scratch: Path


def place(given: str, feed: str) -> str:
    """An absolute path or `s3://bucket/prefix`, without an end slash; `{feed}` is filled in.

    Raises:
        SettingsError: another scheme.
    """
    text = given.format(feed=feed)
    if "://" not in text:
        return str(Path(text).absolute())
    bucket, key = bucket_and_key(text)
    return f"s3://{bucket}/{key}".rstrip("/")


def open_folder(uri: str, storage: "Storage | None") -> Folder:
    """The folder at a place; how the store is reached is needed only for one in it."""
    if is_object_uri(uri):
        assert storage is not None
        return BucketFolder(uri, storage)
    return LocalFolder(Path(uri))


def as_uri(uri: str) -> str:
    """A place as the URI that is in manifests, percent-encoded: `file:///…` or `s3://…`."""
    return f"s3://{quote(uri.removeprefix('s3://'))}" if is_object_uri(uri) else Path(uri).as_uri()


def hadoop_uri(uri: str) -> str:
    """A place as Spark wants it."""
    return uri.replace("s3://", "s3a://", 1) if is_object_uri(uri) else uri


def make_folders(feed: "Feed", settings: "Settings") -> Folders:
    """The folders of the settings, made if they are missing; buckets are not made.

    Raises:
        SettingsError: one is neither a path nor `s3://…`.
        StorageError: one cannot be made, reached or written.
    """
    uris = []
    for name, given in (
        ("landing", settings.landing),
        ("tables", settings.tables.path),
        ("checkpoint", settings.checkpoint),
    ):
        uris.append(uri := place(given, feed.name))
        if is_object_uri(uri):
            assert_reachable(settings.storage, uri, f"--{name} {uri}")
        else:
            _make(Path(uri), name)
    landing, tables, checkpoint = uris
    if is_object_uri(checkpoint):
        scratch = Path(settings.scratch.format(feed=feed.name)).absolute()
        _make(scratch, "scratch")
    else:
        scratch = Path(checkpoint)
    storage = settings.storage
    return Folders(open_folder(landing, storage), tables, open_folder(checkpoint, storage), scratch)


def _make(path: Path, name: str) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"--{name} {path}: {error.strerror}, wanted a folder; choose another") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise StorageError(f"--{name} {path} cannot be written by this user, wanted a folder that can; chown it")
