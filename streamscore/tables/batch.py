"""What is said of a micro-batch: who it is, how many rows its files gave, and the record in its commit.

The record is JSON under `streamscore` in the commit's `userMetadata`; both writers write it, one reader reads it.
"""

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from schemas.feed import Feed
from schemas.settings import Storage
from streamscore.landing.manifest import BatchManifest, LandedFile
from streamscore.registry.model_version import ModelVersion

KEY = "streamscore"


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the rows of one file.

    Attributes:
        predictions: rows that are in predictions, or in forecasts with one row or several.
        rejects: rows; None where a refused file's rows cannot be counted.
    """

    predictions: int = 0
    rejects: int | None = 0

    def plus(self, predictions: int, rejects: int | None) -> "Counts":
        """The sum; a number that is not known stays unknown."""
        unknown = self.rejects is None or rejects is None
        return Counts(self.predictions + predictions, None if unknown else (self.rejects or 0) + (rejects or 0))


@dataclass(frozen=True)
class Batch:
    """One micro-batch: the stream it belongs to, its files, and the model that scores it.

    Attributes:
        model: None: the routes say which model scores a row.
    """

    app_id: str
    batch_id: int
    manifest: BatchManifest
    model: ModelVersion | None


@dataclass(frozen=True, slots=True)
class ScoringTask:
    """What scoring the files of a micro-batch needs beside them and the model; picklable.

    Attributes:
        folders: where the parts of predictions and rejects are written.
        landing: absolute URI of the landing folder.
        storage: how the object store is reached, where one of them is there.
        snapshot: number of the state of the routes and their models by which a routed feed is scored.
    """

    feed: Feed
    batch: Batch
    folders: tuple[str, str]
    landing: str
    chunk_rows: int
    storage: Storage
    snapshot: int = 0


@dataclass(frozen=True)
class BatchRecord:
    """What a predictions commit says of its batch.

    Attributes:
        attempt: unique to one try of one driver, which knows its own commit again by it.
        files: the manifest, in its order.
        counts: one for each file.
        rows: predictions.
        rejects: rows of rejects, as far as they could be counted.
        model_name, model_version: what scored it; None if the routes said which model scores a row.
        found_at: when the first of its files was seen, nanoseconds since 1970; None for no file.
        table_version: of the commit; -1 before it.
        committed_at: milliseconds since 1970.
    """

    app_id: str
    batch_id: int
    digest: str
    attempt: str
    files: tuple[LandedFile, ...]
    counts: tuple[Counts, ...]
    rows: int
    rejects: int
    model_name: str | None
    model_version: str | None
    found_at: int | None
    table_version: int = -1
    committed_at: int = 0

    @classmethod
    def of(cls, batch: Batch, counts: Mapping[str, Counts]) -> Self:
        """The record of a batch; `counts` by file URI."""
        files, left = batch.manifest.files, dict(counts)
        # a path may be there twice, its content changed: its counts stand with the first, so that sums are right
        of_files = tuple(left.pop(file.path, Counts()) for file in files)
        return cls(
            app_id=batch.app_id,
            batch_id=batch.batch_id,
            digest=batch.manifest.digest,
            attempt=uuid.uuid4().hex,
            files=files,
            counts=of_files,
            rows=sum(c.predictions for c in counts.values()),
            rejects=sum(c.rejects or 0 for c in counts.values()),
            model_name=batch.model.name if batch.model else None,
            model_version=batch.model.version if batch.model else None,
            found_at=min((file.found for file in files if file.found), default=None),
        )

    def to_json(self) -> str:
        """The commit's `userMetadata`."""
        body = {
            "app_id": self.app_id,
            "batch_id": self.batch_id,
            "digest": self.digest,
            "attempt": self.attempt,
            "rows": self.rows,
            "rejects": self.rejects,
            "model_name": self.model_name,
            "model_version": self.model_version,
            "found_at": self.found_at,
            "files": [_entry(file, counts) for file, counts in zip(self.files, self.counts, strict=True)],
        }
        return json.dumps({KEY: body}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | None, table_version: int, committed_at: int) -> Self | None:
        """The record in a commit's `userMetadata`; None where the commit is not one of a micro-batch."""
        if not text or KEY not in text:
            return None
        try:
            body = json.loads(text)[KEY]
            files, counts = parse_files(body.pop("files"))
            return cls(files=files, counts=counts, table_version=table_version, committed_at=committed_at, **body)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # somebody else's metadata


def parse_files(entries: Iterable[Mapping[str, Any]]) -> tuple[tuple[LandedFile, ...], tuple[Counts, ...]]:
    """The files and their counts in a commit's record or in a row of `batches`."""
    files, counts = [], []
    for entry in entries:
        content = entry["path"], entry["size"], entry["modified"], entry["etag"] or ""
        files.append(LandedFile(*content, found=entry.get("found") or 0, changed=entry.get("changed") or False))
        counts.append(Counts(entry["predictions"], entry["rejects"]))
    return tuple(files), tuple(counts)


def _entry(file: LandedFile, counts: Counts) -> dict[str, Any]:
    entry: dict[str, Any] = {"path": file.path, "size": file.size, "modified": file.modified, "etag": file.etag}
    entry |= {"found": file.found, "predictions": counts.predictions, "rejects": counts.rejects}
    return entry | ({"changed": True} if file.changed else {})
