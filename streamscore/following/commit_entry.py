"""A commit of a Delta table as its log entry has it: which files hold new rows, and which held rows that left."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from schemas.errors import ContractError, StorageError
from streamscore.tables.batch import BatchRecord


@dataclass(frozen=True, slots=True)
class CommitEntry:
    """One commit.

    Attributes:
        at: UTC.
        added, removed: names in the table's folder of the files whose rows came or left; not of those whose rows only
            moved to another file.
        record: what it says of its micro-batch; None where it is not the commit of predictions of one.
        of_table: the `protocol` and `metaData` actions, by kind: what it changes of the table itself.
    """

    version: int
    at: datetime
    added: tuple[str, ...]
    removed: tuple[str, ...]
    record: BatchRecord | None
    of_table: dict[str, dict[str, Any]]


def parse_commit(uri: str, version: int, text: bytes) -> CommitEntry:
    """What a log entry says.

    Raises:
        ContractError: it deletes rows by deletion vectors, so its files hold more rows than the table.
        StorageError: it is not whole.
    """
    try:
        actions = [next(iter(json.loads(line).items())) for line in text.splitlines() if line.strip()]
    except (ValueError, AttributeError) as error:
        msg = f"{uri}: the log entry of version {version} is not whole ({error}); look: streamscore doctor"
        raise StorageError(msg) from error
    files: dict[str, list[dict[str, Any]]] = {"add": [], "remove": []}
    for kind, action in actions:
        if kind in files and action.get("dataChange", True):
            files[kind].append(action)
    if any(action.get("deletionVector") for action in files["add"]):
        msg = f"{uri}: version {version} deletes rows by deletion vectors, which streamscore does not read; purge them"
        raise ContractError(msg)
    info: dict[str, Any] = next((action for kind, action in actions if kind == "commitInfo"), {})
    written = (action.get("modificationTime", 0) for action in files["add"])
    at = info.get("timestamp") or max(written, default=0)  # milliseconds since 1970
    return CommitEntry(
        version=version,
        at=datetime.fromtimestamp(at / 1000, UTC),
        added=tuple(unquote(action["path"]) for action in files["add"]),
        removed=tuple(unquote(action["path"]) for action in files["remove"]),
        record=BatchRecord.from_json(info.get("userMetadata"), version, at),
        of_table={kind: action for kind, action in actions if kind in ("protocol", "metaData")},
    )
