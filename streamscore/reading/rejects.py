"""What is refused and why: a row, or a whole file."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from schemas.reasons import Reason
from schemas.tables import REJECTS_SCHEMA
from streamscore.landing.manifest import LandedFile

NO_REJECTS = REJECTS_SCHEMA.empty_table()
HEADER_KEPT = 512  # characters; 100,000 rows under a header of 60 KB were 6 GB


@dataclass(frozen=True)
class FileReject:
    """Why a whole file is refused.

    Attributes:
        reason: the code.
        detail: what was found and wanted.
        column: the column that is to blame, if one is.
        rows: the file's data lines; None where they cannot be counted.
        header: the file's header line, where it was read.
    """

    reason: Reason
    detail: str
    column: str | None = None
    rows: int | None = None
    header: str | None = None


class BadFileError(Exception):
    """A file cannot be read, or not as this feed; raised and caught while reading."""

    def __init__(self, refusal: FileReject) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


class FileRejectedError(Exception):
    """A file turned out bad after rows of it were handed out; start the batch again with this refusal."""

    def __init__(self, file: LandedFile, refusal: FileReject) -> None:
        super().__init__(f"{file.path}: {refusal.detail}")
        self.file = file
        self.refusal = refusal

    def __reduce__(self) -> tuple[type, tuple[LandedFile, FileReject]]:
        return type(self), (self.file, self.refusal)  # executors send it to the driver pickled


class Reject(NamedTuple):
    """One row of REJECTS_SCHEMA; `landed_at` in microseconds since 1970."""

    source_file: str
    source_line: int | None
    rows: int | None
    header: str | None
    raw: str | None
    reason: Reason
    column: str | None
    detail: str
    landed_at: int


def rejects_table(rejects: Iterable[Reject]) -> pa.Table:
    """The rejects as REJECTS_SCHEMA; a header longer than HEADER_KEPT is whole in the first one of its file only.

    The others have its beginning. Nothing else in a reject is longer than its own row, but for a few sentences.
    """
    rows = list(rejects)
    if not rows:
        return NO_REJECTS
    columns = dict(zip(Reject._fields, zip(*rows, strict=True), strict=True)) | {"header": _headers(rows)}
    return pa.Table.from_arrays([pa.array(columns[f.name], f.type) for f in REJECTS_SCHEMA], schema=REJECTS_SCHEMA)


def _headers(rows: Iterable[Reject]) -> list[str | None]:
    whole: set[str] = set()
    beginnings: dict[str, str] = {}
    headers = []
    for row in rows:
        header = row.header
        if header is not None and len(header) > HEADER_KEPT:
            if row.source_file in whole:
                header = beginnings.setdefault(header, header[:HEADER_KEPT])
            whole.add(row.source_file)
        headers.append(header)
    return headers


def shorten(text: str, length: int = 80) -> str:
    """A value for a message, quoted, cut in the middle of nowhere when it is long."""
    return repr(text) if len(text) <= length else f"{text[:length]!r}… ({len(text):,} characters)"
