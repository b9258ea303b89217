"""How the files of a micro-batch are read."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamscore.reading.landed import Open, open_local
from streamscore.reading.rejects import FileReject


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What reading needs beside the files and their feed.

    Attributes:
        landing: absolute URI of the landing folder; `source_file` in the tables is relative to it.
        chunk_rows: the most rows in a chunk.
        text_columns: columns, by original name, whose text is wanted too, as `text:<original name>`.
        refused: files known to be bad as a whole, by path; they are not opened.
        open_landed: gives the bytes of a file.
        in_order: rows come in the order of the files and of their lines; else files with other headers may change
            places.
    """

    landing: str
    chunk_rows: int = 65_536
    text_columns: frozenset[str] = frozenset()
    refused: Mapping[str, FileReject] = field(default_factory=dict)
    open_landed: Open = open_local
    in_order: bool = False
