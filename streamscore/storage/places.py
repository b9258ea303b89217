"""A setting's folder: of this machine, or of the object store."""

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from schemas.errors import SettingsError
from streamscore.storage.bucket import BucketFolder
from streamscore.storage.folder import Folder, LocalFolder
from streamscore.storage.object_store import bucket_and_key, is_object_uri

if TYPE_CHECKING:
    from schemas.settings import Storage

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # as Spark writes file:/in
ESCAPE = re.compile("%[0-9A-Fa-f]{2}")


def place(given: str, feed: str) -> str:
    """An absolute path or `s3://bucket/prefix`, without an end slash; `{feed}` is filled in.

    Raises:
        SettingsError: another scheme, or no path: an empty one, as of a variable that is not set, would be the working
            folder with all that lies in it.
    """
    text = given.replace("{feed}", feed)
    if "://" not in text:
        if not text.strip() or "\0" in text or text.partition("/")[0] == "~" or SCHEME.match(text):
            msg = f"found {given!r} for a folder, wanted a path such as /data/in, or s3://BUCKET/PREFIX"
            raise SettingsError(msg)
        return str(Path(text).absolute())
    bucket, key = bucket_and_key(text)
    return f"s3://{bucket}/{key}".rstrip("/")


def assert_readable_by_delta(tables: str) -> None:
    """Refuse a place for tables that delta-rs, and so most of their readers, would look for elsewhere.

    Raises:
        SettingsError: it has a percent escape, which delta-rs decodes once too often.
    """
    if found := ESCAPE.search(tables):
        msg = (
            f"--tables {tables}: found '{found[0]}', which delta-rs reads as '{unquote(found[0])}', wanted a path "
            f"without percent escapes; choose one: --tables DIR"
        )
        raise SettingsError(msg)


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
