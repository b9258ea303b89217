"""Rows as a file of a feed, to be put through what the stream runs."""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from schemas.feed import Column, Feed
from streamscore.landing.manifest import LandedFile, local_file
from streamscore.models.example import probe_value
from streamscore.reading.written import DialectWriter, written


def land_rows(feed: Feed, rows: Sequence[Mapping[Any, Any]], landing: Path) -> LandedFile:
    """A file of the feed in a landing folder, with these rows; columns that they lack are null, or made up.

    Args:
        rows: values by the names in the feed.
    """
    made_up = [(c, written(str(probe_value(c)), c, feed.csv)) for c in feed.columns if c.source == "folder"]
    path = landing.joinpath(*(f"{quote(c.name, safe='')}={quote(text, safe='')}" for c, text in made_up), "example.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_as_csv(feed, rows), feed.csv.encoding, newline="")
    status = path.stat()
    return local_file(str(path), status)


def _as_csv(feed: Feed, rows: Sequence[Mapping[Any, Any]]) -> str:
    text, dialect = io.StringIO(), feed.csv
    writer = DialectWriter(text, dialect)
    if dialect.header != "none":
        writer.write(column.name for column in feed.file_columns)
    null = dialect.null_values[0] if dialect.null_values else ""
    for row in rows:
        texts = [(column, _as_text(column, row, null)) for column in feed.file_columns]
        writer.write(one if one == null else written(one, column, dialect) for column, one in texts)
    return text.getvalue()


def _as_text(column: Column, row: Mapping[str, Any], null: str) -> str:
    import pandas as pd

    value = row.get(column.name)
    if value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return null if column.nullable or column.name in row else str(probe_value(column))
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d") if column.type == "date" else value.isoformat() + "Z" * (value.tzinfo is None)
    if column.type in ("int", "long") and isinstance(value, float):  # nullable whole numbers are floats in pandas
        return str(int(value))
    return str(value)
