"""An object store that takes any key, which those of `make services` do not, and refuses what a test wants it to."""

import bisect
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from unittest import mock

from botocore.exceptions import ClientError

MODULES = ("streamscore.landing.objects", "streamscore.reading.fetch")


def refusal(code: str, status: int) -> ClientError:
    """What boto3 raises of such an answer."""
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "Request")


class ListedStore:
    """A bucket; its client is itself. `denied` are keys that nobody may read."""

    def __init__(self, page: int = 1000) -> None:
        self.objects: dict[str, bytes] = {}
        self.denied: dict[str, str] = {}
        self.requests = 0
        self._page = page

    def list_objects_v2(
        self,
        *,
        Bucket: str,
        Prefix: str = "",
        Delimiter: str = "",
        MaxKeys: int = 1000,
        StartAfter: str = "",
        ContinuationToken: str = "",
    ) -> dict[str, Any]:
        self.requests += 1
        after = max(StartAfter, ContinuationToken)
        keys = sorted(key for key in self.objects if key.startswith(Prefix))
        contents, prefixes = list[Any](), list[str]()
        for key in keys[bisect.bisect_right(keys, after) :]:
            folder, slash, _ = key[len(Prefix) :].partition(Delimiter) if Delimiter else ("", "", "")
            name = Prefix + folder + slash if slash else key
            if slash and (name in prefixes or (after and after.startswith(name))):
                continue
            if len(contents) + len(prefixes) == min(self._page, MaxKeys):
                last = contents[-1]["Key"] if contents else ""
                return self._answer(contents, prefixes) | {"NextContinuationToken": max([last, *prefixes])}
            if slash:
                prefixes.append(name)
            else:
                contents.append(self._entry(key))
        return self._answer(contents, prefixes)

    def get_object(self, *, Bucket: str, Key: str, IfMatch: str = "") -> dict[str, Any]:
        self.head_object(Bucket=Bucket, Key=Key)
        return {"Body": io.BytesIO(self.objects[Key])}

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        if Key in self.denied:
            raise refusal(self.denied[Key], 403)
        return {"ETag": '"e"'}

    def _entry(self, key: str) -> dict[str, Any]:
        made = datetime(2026, 1, 1, tzinfo=UTC)
        return {"Key": key, "Size": len(self.objects[key]), "LastModified": made, "ETag": '"e"'}

    def _answer(self, contents: list[Any], prefixes: list[str]) -> dict[str, Any]:
        return {"Contents": contents, "CommonPrefixes": [{"Prefix": prefix} for prefix in prefixes]}


@contextmanager
def served(store: ListedStore) -> Iterator[None]:
    """Within it, the landing folder and its readers reach this store."""

    @contextmanager
    def reaching(storage: Any, what: str, *limits: Any) -> Iterator[ListedStore]:
        from streamscore.storage.object_store import store_error

        try:
            yield store
        except ClientError as error:
            raise store_error(storage, what, error) from error

    with mock.patch.multiple(MODULES[0], reaching=reaching), mock.patch.multiple(MODULES[1], reaching=reaching):
        yield
