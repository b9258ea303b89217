"""The whole prediction, pure: CSV files in, predictions and rejects out. The same in the driver and in executors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from schemas.feed import Feed
from streamscore.landing.manifest import LandedFile
from streamscore.models.row_model import Model
from streamscore.reading.read import ReadOptions, read_chunks
from streamscore.reading.validate import validate
from streamscore.scoring.predict import predict


@dataclass(frozen=True, slots=True)
class Scored:
    """One chunk.

    Attributes:
        predictions: the feed's columns, `source_file`, `source_line`, `landed_at`, `prediction`.
        rejects: the columns of `REJECTS_SCHEMA`.
        truncated: how many times lost digits of a second (`csv.fractions`).
    """

    predictions: pa.Table
    rejects: pa.Table
    truncated: int = 0


def score(
    files: Sequence[LandedFile],
    feed: Feed,
    model: Model,
    options: ReadOptions,
) -> Iterator[Scored]:
    """CSV files in, their predictions and rejects out, in bounded chunks; writes nothing.

    Every data row of every file is in exactly one of the two tables.

    Args:
        options: a chunk is also one predict call; which columns are wanted as text, the model says.

    Raises:
        FileRejectedError: a file turned out bad after rows of it were handed out; drop all chunks, and score again
            with its reject in `options.refused`.
    """
    for rows, rejects in read_chunks(files, feed, replace(options, text_columns=model.text_columns)):
        rows, invalid = validate(rows, feed)
        predictions, failed = predict(rows, model)
        yield Scored(predictions, pa.concat_tables([rejects, invalid, failed]), rows.truncated)
