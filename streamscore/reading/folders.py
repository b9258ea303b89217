"""Columns that stand in the names of a file's folders: `dt=2024-12-31/`, as Hive and Spark write them."""

from urllib.parse import unquote

import pyarrow as pa

from schemas.columns import header_key
from schemas.feed import Column, Dialect
from streamscore.reading.parse import Parsed

_NULL = "__HIVE_DEFAULT_PARTITION__"


def folder_text(parsed: Parsed, column: Column, dialect: Dialect) -> pa.Array:
    """The text of such a column, for each row; null where its file is in no such folder."""
    said = [_said(text.origin.name, column, dialect) for text in parsed.texts]
    return pa.array(said, pa.string()).take(pa.array(parsed.text_of))


def _said(source_file: str, column: Column, dialect: Dialect) -> str | None:
    wanted = header_key(column.name, dialect.header)
    for folder in reversed(source_file.split("/")[:-1]):
        name, sign, value = folder.partition("=")
        if sign and header_key(unquote(name), dialect.header) == wanted:
            value = unquote(value)
            return None if value == _NULL or value in dialect.null_values else value
    return None
