"""The files of a Delta table's log: what a commit's entry looks like."""

import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deltalake.exceptions import TableNotFoundError

from schemas.errors import StorageError
from streamscore.storage.folder import Folder
from streamscore.tables.parts import Part

ENTRY = re.compile(r"(\d{20})\.json")
_OF_FILES = ('{"add":', '{"remove":', '{"cdc":', '{"commitInfo":')


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


def rearrangement_text(old: Mapping[str, int], part: Part, read: int) -> str:
    """The entry of a commit that puts a part in the place of files, path → bytes, that hold the same rows.

    `dataChange` is false: who follows the table, as Spark's `readStream` does, sees no row of it.
    """
    now = time.time_ns() // 1_000_000
    info: dict[str, Any] = {"timestamp": now, "operation": "OPTIMIZE", "operationParameters": {"predicate": "[]"}}
    info |= {"readVersion": read, "isBlindAppend": False, "engineInfo": "streamscore"}
    lines: list[dict[str, Any]] = [{"commitInfo": info}]
    same = {"partitionValues": {}, "dataChange": False}
    for path, size in old.items():
        removed = {"path": path, "deletionTimestamp": now, "extendedFileMetadata": True, "size": size}
        lines.append({"remove": removed | same})
    add = {"path": part.path, "size": part.size, "modificationTime": part.modified, "stats": part.stats}
    lines.append({"add": add | same})
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)


def is_rearrangement(text: str) -> bool:
    """Whether an entry moves rows between files, and changes neither rows nor columns nor transactions."""
    moved = False
    for line in filter(None, text.split("\n")):
        ((kind, action),) = json.loads(line).items()
        if kind in ("add", "remove") and action.get("dataChange") is False:
            moved = True
        elif kind != "commitInfo":
            return False
    return moved


def parse_entry(version: int, text: str) -> Entry:
    """What an entry says of its commit."""
    info: dict[str, Any] = next((json.loads(line)["commitInfo"] for line in actions(text, "commitInfo")), {})
    return Entry(version, info.get("timestamp", 0), info.get("userMetadata"))


def actions(text: str, *kinds: str) -> Iterator[str]:
    """The lines of an entry that hold actions of these kinds."""
    starts = tuple(f'{{"{kind}":' for kind in kinds)
    return (line for line in text.split("\n") if line.startswith(starts))


def changes(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The actions of an entry that say more than which files it adds and removes, with their kinds."""
    for line in filter(None, text.split("\n")):
        if not line.startswith(_OF_FILES):
            yield from json.loads(line).items()


def checkpoint_version(log: Folder) -> int:
    """The version of a log's newest checkpoint, -1 if there is none."""
    try:
        return int(json.loads(log.read("_last_checkpoint") or b"")["version"])
    except (ValueError, KeyError):
        return -1


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
