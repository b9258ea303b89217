"""The files of a Delta table's log: what a commit's entry looks like."""

import json
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from deltalake.exceptions import TableNotFoundError

from jobs.streaming.storage.folder import Folder
from jobs.streaming.writing.parts import Part
from schemas.errors import StorageError

ENTRY = re.compile(r"(\d{20})\.json")


@dataclass(frozen=True, slots=True)
class Entry:
    """One commit: its version, its time in milliseconds since 1970, and its `userMetadata`."""

    version: int
    at: int
    metadata: str | None


def entry_text(parts: Sequence[Part], app_id: str, number: int, metadata: str, read: int) -> str:
    """The lines of a log entry, as Delta's protocol has them."""
    now = time.time_ns() // 1_000_000
    info: dict[str, Any] = {"timestamp": now, "operation": "WRITE"}
    info |= {"operationParameters": {"mode": "Append", "partitionBy": "[]"}, "readVersion": read}
    info |= {"isBlindAppend": True, "engineInfo": "streamscore", "userMetadata": metadata}
    lines: list[dict[str, Any]] = [{"commitInfo": info}]
    lines += [{"txn": {"appId": app_id, "version": number, "lastUpdated": now}}] if app_id else []
    for part in parts:
        add = {"path": part.path, "partitionValues": {}, "size": part.size, "modificationTime": part.modified}
        lines.append({"add": add | {"dataChange": True, "stats": part.stats}})
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)


def parse_entry(version: int, text: str) -> Entry:
    """What an entry says of its commit."""
    info: dict[str, Any] = next((json.loads(line)["commitInfo"] for line in actions(text, "commitInfo")), {})
    return Entry(version, info.get("timestamp", 0), info.get("userMetadata"))


def actions(text: str, *kinds: str) -> Iterator[str]:
    """The lines of an entry that hold actions of these kinds."""
    starts = tuple(f'{{"{kind}":' for kind in kinds)
    return (line for line in text.split("\n") if line.startswith(starts))


def puts_if_absent(log: Folder) -> bool:
    """Whether of two who create a file one is refused: by hard links in a folder, by conditional PUT in a store."""
    name = f"_commit_{uuid.uuid4()}.json.tmp"
    try:
        return log.create(name, b"1") and not log.create(name, b"2")
    except OSError:
        return False
    finally:
        log.delete(name)


def unusable(uri: str, doing: str, error: Exception) -> StorageError:
    """The error of a table that cannot be used."""
    if isinstance(error, TableNotFoundError):
        return StorageError(f"no Delta table in {uri}; the stream makes it: streamscore run")
    first_line = str(error).partition("\n")[0]
    return StorageError(f"cannot {doing} the Delta table {uri}: {first_line}; look: streamscore doctor")
