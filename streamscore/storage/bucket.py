"""A folder of an object store. A PUT is whole or not there, and `If-None-Match: *` is its put-if-absent."""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from schemas.errors import StorageError
from streamscore.storage.folder import Listed
from streamscore.storage.journal import BucketJournal, Journal
from streamscore.storage.object_store import (
    arrow_file_system,
    bucket_and_key,
    code_of,
    delta_options,
    reaching,
)

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

    from schemas.settings import Storage
    from streamscore.storage.folder import LocalFolder
    from streamscore.storage.lease import Lease

L = TypeVar("L")
B = TypeVar("B")

PRECONDITION_FAILED = frozenset({"PreconditionFailed", "412"})
MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
RACED = frozenset({"ConditionalRequestConflict", "409"})  # another conditional PUT of the key was under way
ATTEMPTS = 10
DELETERS = 16  # requests at a time


class BucketFolder:
    """A prefix in a bucket."""

    is_remote: ClassVar[bool] = True

    def __init__(self, uri: str, storage: "Storage", **limits: int) -> None:
        """The prefix of a URI; `limits` are those of `reaching`, where a request must end sooner than others."""
        self.uri, self.storage, self._limits = uri.rstrip("/"), storage, limits
        self.bucket, prefix = bucket_and_key(uri)
        self._prefix = f"{prefix}/" if prefix else ""

    def at(self, name: str) -> "BucketFolder":
        return BucketFolder(f"{self.uri}/{name}", self.storage)

    def key(self, name: str) -> str:
        """The object's key."""
        return self._prefix + name

    def read(self, name: str) -> bytes | None:
        found = self.read_tagged(name)
        return None if found is None else found[0]

    def read_tagged(self, name: str) -> tuple[bytes, str] | None:
        """The content of an object and its etag; None if there is none."""
        found = self._unless(MISSING, "get_object", name)
        if found is None:
            return None
        with reaching(self.storage, f"cannot read {self.uri}/{name}"):  # an answer may be cut off
            return found["Body"].read(), found["ETag"]

    def head(self, name: str) -> dict[str, Any] | None:
        """What the store says of an object: `ETag`, `ContentLength`, `LastModified`; None if there is none."""
        return self._unless(MISSING, "head_object", name)

    def write(self, name: str, data: bytes | memoryview, *, durable: bool = False) -> None:  # noqa: ARG002  a PUT is
        with reaching(self.storage, f"cannot write {self.uri}/{name}") as client:
            client.put_object(Bucket=self.bucket, Key=self.key(name), Body=bytes(data))

    def create(self, name: str, data: bytes) -> bool:
        for attempt in range(ATTEMPTS):
            if self._unless(PRECONDITION_FAILED | RACED, "put_object", name, Body=data, IfNoneMatch="*") is not None:
                return True
            found = self.read(name)
            if found is not None:
                return found == data  # ours, if the answer to a PUT got lost and boto3 tried it again
            time.sleep(0.01 * 2**attempt)  # raced by one that was refused as well
        msg = f"cannot write {self.uri}/{name}: others write it all the time; stop them or try again"
        raise StorageError(msg)

    def names(self, under: str = "") -> list[str]:
        prefix = self._prefix + (f"{under}/" if under else "")
        keys = [entry["Key"][len(prefix) :] for entry in self._objects(prefix, Delimiter="/")]
        return [key for key in keys if key]

    def folders(self) -> list[str]:
        start = len(self._prefix)
        return [page["Prefix"][start:-1] for page in self._listing(self._prefix, "CommonPrefixes", Delimiter="/")]

    def all_names(self) -> list[str]:
        """The names of all objects below this folder."""
        return [entry["Key"][len(self._prefix) :] for entry in self._objects(self._prefix)]

    def listed(self) -> list[Listed]:
        objects = self._objects(self._prefix, Delimiter="/")
        return [Listed(o["Key"][len(self._prefix) :], o["Size"], o["LastModified"].timestamp()) for o in objects]

    def delete(self, name: str) -> None:
        with reaching(self.storage, f"cannot delete {self.uri}/{name}") as client:
            client.delete_object(Bucket=self.bucket, Key=self.key(name))

    def delete_all(self, names: Iterable[str]) -> None:
        with ThreadPoolExecutor(DELETERS) as deleters:
            list(deleters.map(self.delete, names))

    def make(self) -> None:
        """Nothing: in a bucket every folder is there."""

    def sync(self) -> None:
        """Nothing: an answered PUT is safe."""

    def set_aside(self, to: str, first: str) -> bool:
        from streamscore.storage.lease import NAME

        target = BucketFolder(to, self.storage)
        for name in sorted(self.all_names(), key=lambda name: name != first):
            if not name.startswith(f"{NAME}/"):
                self.move(name, target.key(name))
        return False

    def open_journal(self, name: str) -> Journal:
        return BucketJournal(self.at(name))

    def take_lease(self, feed: str, lost: Callable[[str], None]) -> "Lease":
        from streamscore.storage.lease import BucketLease

        return BucketLease(self, feed, lost)

    def lease_holder(self) -> dict[str, Any]:
        from streamscore.storage.lease import bucket_holder

        return bucket_holder(self)

    def delta_options(self) -> dict[str, str]:
        return delta_options(self.storage)

    def arrow_files(self) -> "FileSystem":
        from pyarrow.fs import SubTreeFileSystem

        root = f"{self.bucket}/{self.key('')}".rstrip("/")
        return SubTreeFileSystem(root, arrow_file_system(self.storage))

    def by_kind(self, *, local: Callable[["LocalFolder"], L], bucket: Callable[["BucketFolder"], B]) -> L | B:  # noqa: ARG002
        return bucket(self)

    def move(self, name: str, to: str) -> None:
        """Give an object another key of the bucket."""
        with reaching(self.storage, f"cannot move {self.uri}/{name}") as client:
            source = {"Bucket": self.bucket, "Key": self.key(name)}
            client.copy_object(Bucket=self.bucket, Key=to, CopySource=source)
            client.delete_object(**source)

    def _objects(self, prefix: str, **how: str) -> Iterator[dict[str, Any]]:
        return self._listing(prefix, "Contents", **how)

    def _listing(self, prefix: str, of: str, **how: str) -> Iterator[dict[str, Any]]:
        with reaching(self.storage, f"cannot list {self.uri}") as client:
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix, **how):
                yield from page.get(of, ())

    def _unless(self, codes: frozenset[str], request: str, name: str, **arguments: Any) -> Any:
        """The answer to a request; None where it is one of these codes."""
        from botocore.exceptions import ClientError

        what = f"cannot {request.partition('_')[0]} {self.uri}/{name}"
        with reaching(self.storage, what, **self._limits) as client:
            try:
                return getattr(client, request)(Bucket=self.bucket, Key=self.key(name), **arguments)
            except ClientError as error:
                if code_of(error) in codes:
                    return None
                raise
