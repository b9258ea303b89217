"""CSV files as the stream reads them: its own reader, so that a model is trained on the text that it will meet."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from schemas.errors import FeedError
from schemas.feed import Column, Feed
from streamscore.landing.manifest import LandedFile
from streamscore.reading.header import find_header
from streamscore.reading.landed import LandedText, Open, open_local
from streamscore.reading.read import FileRejectedError, ReadOptions, read_chunks
from streamscore.reading.records import MAX_RECORD
from streamscore.reading.rejects import BadFileError
from streamscore.reading.split import split_record

_HEADER_BYTES = 2 * MAX_RECORD


def csv_names(feed: Feed, source: str, file: Path | bytes) -> list[str]:
    """The names in a CSV file's header, without the spaces around them.

    Raises:
        FeedError: it has none, or cannot be read; `source` is what the message calls it.
    """
    in_folders = [column.name for column in feed.columns if column.source == "folder"]
    if feed.csv.header == "none":
        return [column.name for column in feed.file_columns] + in_folders
    landed, opened = _landed(file)
    try:
        with LandedText(landed, feed.csv.encoding, opened) as text:
            data = text.read(_HEADER_BYTES)
            found = find_header(data, len(data) < _HEADER_BYTES, feed.csv)
    except BadFileError as error:
        if error.refusal.rows == 0:
            wanted = ", ".join(c.name for c in feed.columns)
            msg = f"{source} is empty, wanted a header with {wanted}; streamscore sample makes such files"
        else:
            msg = f"{source} cannot be read as CSV: {error.refusal.detail}; write it again"
        raise FeedError(msg) from error
    header = split_record(found.text, feed.csv)
    if header is None or header.stray.strip(" \t"):
        msg = f"{source} cannot be read as CSV: a quote in its header is not closed, or text follows it; write it again"
        raise FeedError(msg)
    return [name.strip() for name in header.fields] + in_folders


def read_csv(feed: Feed, source: str, file: Path | bytes, columns: Sequence[Column]) -> pa.Table:
    """These columns of a CSV file in the feed's dialect, under their names, in the order of its lines.

    Args:
        source: what a message calls the file.
        columns: found by name, typed as they say; others are passed over.

    Raises:
        FeedError: the stream would refuse a row, or all of it; names the line.
    """
    landed, opened = _landed(file)
    # not validated: what is read here may be no feed, as labels by source_file and source_line
    dialect = feed.csv.model_copy(update={"extra_columns": "ignore"})
    own = {column.name: column for column in columns}
    found = [own.get(c.name, c.model_copy(update={"type": "string"})) for c in feed.columns]  # by place
    read = found if dialect.header == "none" else list(columns)
    wanted = Feed.model_construct(name=feed.name, csv=dialect, columns=tuple(read))
    options = ReadOptions("file:///", open_landed=opened)  # all folders are in the file's name, where columns may be
    tables = []
    try:
        for rows, rejects in read_chunks([landed], wanted, options):
            for reject in rejects.slice(0, 1).to_pylist():
                line = f"line {reject['source_line']}: " if reject["source_line"] else ""
                column = f"'{reject['column']}': " if reject["column"] else ""
                raise _refused(feed, source, f"{line}{column}{reject['detail']}")
            tables.append(rows.table)
    except FileRejectedError as error:
        raise _refused(feed, source, error.refusal.detail) from error
    whole = pa.concat_tables(tables) if tables else wanted.arrow_schema.empty_table()
    if tables:  # records that were split by hand come before others
        lines = whole.column(whole.num_columns - 2).to_numpy()
        whole = whole if (lines[1:] > lines[:-1]).all() else whole.take(pa.array(np.argsort(lines)))
    places = {column.name: at for at, column in enumerate(read)}
    return pa.table([whole.column(places[column.name]) for column in columns], [column.name for column in columns])


def _refused(feed: Feed, source: str, what: str) -> FeedError:
    return FeedError(f"{source} does not hold what feed {feed.name} declares: {what}; mend or leave that row")


def _landed(file: Path | bytes) -> tuple[LandedFile, Open]:
    if isinstance(file, Path):
        status = file.stat()
        return LandedFile(file.resolve().as_uri(), status.st_size, status.st_mtime_ns), open_local
    name = "file:///in.csv.gz" if file.startswith(b"\x1f\x8b") else "file:///in.csv"
    return LandedFile(name, len(file), 0), lambda _: _Bytes(file)


class _Bytes(io.BytesIO):
    """A file that is in memory, as the reader opens files."""

    def content(self) -> tuple[int, int]:
        return len(self.getbuffer()), 0

    def read(self, size: int | None = -1) -> bytes:
        return super().read(size)
