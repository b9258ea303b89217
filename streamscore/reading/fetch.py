"""Landed files of an object store, fetched ahead of whoever reads them."""

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from schemas.errors import StorageError
from schemas.reasons import Reason
from schemas.settings import Storage
from streamscore.landing.manifest import LandedFile
from streamscore.reading.landed import Open, open_local
from streamscore.reading.rejects import BadFileError, FileReject
from streamscore.storage.bucket import MISSING, PRECONDITION_FAILED
from streamscore.storage.object_store import bucket_and_key, code_of, is_object_uri, reaching

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

READERS = 16  # requests at a time: a store that is 20 ms away gives 800 small files a second
OTHERS = 10  # objects that are asked for, to tell one that may not be read from a reader that may read none
_OF_THE_ASKER = frozenset(  # answers to whoever asks
    {
        "ExpiredToken",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "RequestTimeTooSkewed",
        "InvalidToken",
        "NoSuchBucket",
    }
)
AHEAD_BYTES = 32 * 2**20  # of files that nobody has read yet


@contextlib.contextmanager
def opener(files: Sequence[LandedFile], storage: Storage) -> Iterator[Open]:
    """What opens these files, which are opened in their order; none is held any more afterwards."""
    if not any(is_object_uri(file.path) for file in files):
        yield open_local
        return
    with reaching(storage, "cannot read"):  # else each reader makes a client, to throw it away: 16 took 2 s
        pass
    with ThreadPoolExecutor(READERS) as readers:
        ahead = _Prefetch(files, storage, readers)
        try:
            yield ahead.open
        finally:
            ahead.close()


class BucketSource:
    """The bytes of an object, and of no other content than the manifest's: the request names its etag."""

    def __init__(self, file: LandedFile, storage: Storage) -> None:
        from botocore.exceptions import ClientError

        self._file, self._storage = file, storage
        self._what = f"cannot read {file.path}"
        bucket = bucket_and_key(file.path)[0]
        with reaching(storage, self._what) as client:
            try:
                answer = client.get_object(Bucket=bucket, Key=file.key, IfMatch=f'"{file.etag}"')
            except ClientError as error:
                if code_of(error) in PRECONDITION_FAILED:
                    detail = "found other content, wanted that of the manifest: the object was put again since"
                    raise BadFileError(FileReject(Reason.FILE_CHANGED, detail)) from error
                if code_of(error) in MISSING:
                    detail = "found no such object, wanted one as in the manifest"
                    raise BadFileError(FileReject(Reason.FILE_MISSING, detail)) from error
                if code_of(error) == "InvalidObjectState":
                    detail = "found an object that was moved to an archive of the store, wanted one that can be read"
                    raise BadFileError(FileReject(Reason.UNREADABLE, detail)) from error
                if is_of_this_object(client, bucket, file.key, error):
                    detail = f"found '{code_of(error)}', wanted an object that may be read, as others in its folder are"
                    raise BadFileError(FileReject(Reason.UNREADABLE, detail)) from error
                raise
        self._body: Any = answer["Body"]
        self._read = 0

    def content(self) -> tuple[int, int]:
        return self._file.size, self._file.modified

    def read(self, size: int) -> bytes:
        with reaching(self._storage, self._what):
            data = self._body.read(size)
        self._read += len(data)
        # a connection that is closed in the middle of a body looks like its end
        if len(data) < size and self._read != self._file.size:
            msg = f"{self._what}: the answer ended after {self._read:,} of {self._file.size:,} bytes; it is read again"
            raise StorageError(msg)
        return data

    def close(self) -> None:
        self._body.close()


def is_of_this_object(client: Any, bucket: str, key: str, error: "ClientError") -> bool:
    """Whether an answer is no to this object alone, and not to whoever asks: another one beside it may be read.

    Expired credentials, and rights that are missing for all, look the same; they are the storage's. An object that has
    no other in its folder is held against those of the folder above.
    """
    from botocore.exceptions import BotoCoreError
    from botocore.exceptions import ClientError as Refused

    if not 400 <= error.response["ResponseMetadata"]["HTTPStatusCode"] < 500 or code_of(error) in _OF_THE_ASKER:
        return False
    folder = key.rpartition("/")[0]
    try:
        for above in (folder, folder.rpartition("/")[0]):
            prefix = f"{above}/" if above else ""
            listed = client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=OTHERS + 1).get("Contents", ())
            if others := [entry["Key"] for entry in listed if entry["Key"] not in (key, prefix)]:
                return any(_may_be_read(client, bucket, other) for other in others[:OTHERS])
    except (BotoCoreError, Refused):
        return False
    return False


def _may_be_read(client: Any, bucket: str, key: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        client.head_object(Bucket=bucket, Key=key)
    except ClientError:
        return False
    return True


class _Prefetch:
    """The next files of a batch, requested before they are asked for."""

    def __init__(self, files: Sequence[LandedFile], storage: Storage, readers: ThreadPoolExecutor) -> None:
        self._storage, self._readers = storage, readers
        self._left = list(reversed(files))
        self._requested: dict[str, Future[BucketSource]] = {}
        self._sizes: dict[str, int] = {}

    def open(self, file: LandedFile) -> BucketSource:
        while self._left and file.path not in self._requested:
            self._request()
        while self._left and len(self._requested) < READERS and sum(self._sizes.values()) < AHEAD_BYTES:
            self._request()
        self._sizes.pop(file.path, None)
        request = self._requested.pop(file.path, None)
        return request.result() if request else BucketSource(file, self._storage)

    def close(self) -> None:
        for request in self._requested.values():
            if not request.cancel() and not request.exception():
                request.result().close()

    def _request(self) -> None:
        file = self._left.pop()
        if not file.changed:  # refused without a look
            self._requested[file.path] = self._readers.submit(BucketSource, file, self._storage)
            self._sizes[file.path] = file.size
