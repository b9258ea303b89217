"""What a reader of a Delta table can see: entries of its log, found by asking for the next one only.

A listing of thousands of entries would be part of what is measured.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Read = Callable[[int], bytes | None]  # a version's entry; null: not there yet


@dataclass(frozen=True, slots=True)
class Commit:
    """One that added rows."""

    version: int
    rows: int


class TableLog:
    """The rows that can be seen by now.

    Attributes:
        version: of the next entry.
        rows: added by all entries so far; rewritten ones are not counted again.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self.version = 0
        self.rows = 0

    def look(self) -> list[Commit]:
        """The commits with rows since the last look."""
        found = []
        while (text := self._read(self.version)) is not None:
            try:
                rows = added_rows(text)
            except json.JSONDecodeError:  # still being written
                break
            if rows:
                found.append(Commit(self.version, rows))
            self.rows += rows
            self.version += 1
        return found


def in_folder(table: Path) -> Read:
    """Entries of a table in a folder."""

    def read(version: int) -> bytes | None:
        try:
            return (table / "_delta_log" / f"{version:020}.json").read_bytes()
        except FileNotFoundError:
            return None

    return read


def in_bucket(client: Any, bucket: str, prefix: str) -> Read:
    """Entries of a table in a bucket; a look is one request.

    Args:
        client: boto3's.
    """

    def read(version: int) -> bytes | None:
        try:
            return client.get_object(Bucket=bucket, Key=f"{prefix}/_delta_log/{version:020}.json")["Body"].read()
        except client.exceptions.NoSuchKey:
            return None

    return read


def added_rows(entry: bytes) -> int:
    """New rows in one log entry: by the files' statistics, else by the commit's own count."""
    rows, counted, told = 0, True, 0
    for line in entry.splitlines():
        action = json.loads(line)
        if added := action.get("add"):
            if not added.get("dataChange", True):
                return 0
            stats = json.loads(added.get("stats") or "{}")
            counted = counted and "numRecords" in stats
            rows += stats.get("numRecords", 0)
        elif info := action.get("commitInfo"):
            told = int(info.get("operationMetrics", {}).get("numOutputRows", 0))
    return rows if counted else told
