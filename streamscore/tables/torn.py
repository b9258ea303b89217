"""Log entries of which a power cut left a part: found, told, and set aside by `run --recover`.

An entry is put whole, but in a local folder nothing syncs it before its micro-batch is cleaned up: a power cut may
leave the newest ones cut, or filled with zeros.
"""

import json
from typing import Any

from schemas.errors import RecoveryError
from schemas.tables import BATCHES, EVENTS, FORECASTS, PREDICTIONS, QUARANTINE
from streamscore.storage.folder import Folder
from streamscore.tables.log_entry import ENTRY

OF_STREAMS = PREDICTIONS, FORECASTS, QUARANTINE, BATCHES, EVENTS  # what `--recover` looks at
SET_ASIDE = ".torn"  # behind the name of an entry; readers of the log know no such file


def torn_entries(log: Folder, after: int) -> list[str]:
    """The names of the newest entries, newest first, that are torn: behind them is none that is whole.

    Args:
        log: the folder of a table's log.
        after: the version of its checkpoint, before which entries are not read any more.
    """
    found: list[str] = []
    for _, name in sorted(_entries(log, after).items(), reverse=True):
        if not is_torn(log.read(name) or b""):
            break
        found.append(name)
    return found


def is_torn(data: bytes) -> bool:
    """Whether an entry is no JSON, or lacks the rows that it says its micro-batch has; an empty one says nothing."""
    try:
        actions = [json.loads(line) for line in data.decode().split("\n") if line]
        return any(not isinstance(action, dict) for action in actions) or _lacks_rows(actions)
    except ValueError:
        return True


def assert_whole(uri: str, log: Folder, after: int) -> None:
    """Refuse a table whose newest entries are torn.

    Raises:
        RecoveryError: names the oldest of them, and the next command.
    """
    if torn := torn_entries(log, after):
        entry = f"{uri}/_delta_log/{torn[-1]}"
        fix = "score its files again: streamscore run FEED --recover"
        if uri.rpartition("/")[2] not in OF_STREAMS:
            fix = f"take it out of the log: mv {entry} {entry}{SET_ASIDE}"
        msg = f"the log entry {entry} is torn, as a power cut leaves it; {fix}"
        raise RecoveryError(msg)


def blame(uri: str, log: Folder, after: int) -> None:
    """Of a table that cannot be opened: refuse it for an entry that is torn, if that is why.

    Raises:
        RecoveryError: names the entry, and what mends it.
    """
    assert_whole(uri, log, after)
    for name in sorted(_entries(log, after).values()):
        if is_torn(log.read(name) or b""):
            msg = (
                f"the log entry {uri}/_delta_log/{name} is damaged, and later ones are not, wanted JSON; put it back "
                f"from a backup of the table, or choose another folder: --tables DIR"
            )
            raise RecoveryError(msg)


def set_torn_aside(log: Folder, after: int) -> list[str]:
    """Take the newest entries that are torn out of a log, so that their micro-batches are not in; their names."""
    torn = torn_entries(log, after)
    for name in torn:  # newest first: a crash leaves no gap
        log.create(f"{name}{SET_ASIDE}", log.read(name) or b"")
        version = name.removesuffix(".json")
        log.delete_all([f".{name}.crc", f"{version}.crc", f".{version}.crc.crc", name])  # Spark's sums, then the entry
    return torn


def has_set_aside(log: Folder) -> bool:
    """Whether entries of a log were set aside, whenever that was."""
    return any(name.endswith(SET_ASIDE) for name in log.names())


def _entries(log: Folder, after: int) -> dict[int, str]:
    there = {int(match[1]): name for name in log.names() if (match := ENTRY.fullmatch(name))}
    return {version: name for version, name in there.items() if version > after}


def _lacks_rows(actions: list[dict[str, Any]]) -> bool:
    """Cut between two lines: the first says how many rows a micro-batch has, the last are its parts."""
    metadata = next((action["commitInfo"].get("userMetadata") for action in actions if "commitInfo" in action), None)
    try:
        wanted = json.loads(metadata or "")["streamscore"]["rows"]
    except (ValueError, KeyError, TypeError):  # another's, or of rejects
        return False
    parts = [action["add"] for action in actions if "add" in action]
    return bool(wanted > sum(json.loads(part.get("stats") or "{}").get("numRecords", wanted) for part in parts))
