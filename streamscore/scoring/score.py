"""The whole prediction, pure: CSV files in, predictions and rejects out. The same in the driver and in executors."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from schemas.feed import Feed
from streamscore.landing.manifest import LandedFile
from streamscore.models.row_model import Model
from streamscore.reading.landed import Open, open_local
from streamscore.reading.read import FileReject, read_chunks
from streamscore.reading.validate import validate
from streamscore.scoring.predict import predict


@dataclass(frozen=True, slots=True)
class Scored:
    """One chunk.

    Attributes:
        predictions: the feed's columns, `source_file`, `source_line`, `landed_at`, `prediction`.
        rejects: the columns of `REJECTS_SCHEMA`.
    """

    predictions: pa.Table
    rejects: pa.Table


def score(
    files: Sequence[LandedFile],
    feed: Feed,
    model: Model,
    landing: str,
    *,
    chunk_rows: int,
    refused: Mapping[str, FileReject] | None = None,
    open_landed: Open = open_local,
) -> Iterator[Scored]:
    """CSV files in, their predictions and rejects out, in bounded chunks; writes nothing.

    Every data row of every file is in exactly one of the two tables.

    Args:
        landing: absolute URI of the landing folder; file names in the tables are relative to it.
        chunk_rows: rows in one predict call.
        refused: files known to be bad as a whole, by path.
        open_landed: gives the bytes of a file.

    Raises:
        FileRefusedError: a file turned out bad after rows of it were handed out; drop all chunks, and score again
            with its refusal in `refused`.
    """
    chunks = read_chunks(
        files,
        feed,
        landing,
        text_columns=model.text_columns,
        chunk_rows=chunk_rows,
        refused=refused or {},
        open_landed=open_landed,
    )
    for rows, rejects in chunks:
        rows, invalid = validate(rows, feed)
        predictions, failed = predict(rows, model)
        yield Scored(predictions, pa.concat_tables([rejects, invalid, failed]))
