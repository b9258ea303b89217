"""What nobody needs any more: old log entries, files that are in no table, model versions that score no more."""

import contextlib
import json
import math
import re
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from streamscore.storage.folder import Folder, Listed
from streamscore.tables.delta_log import DeltaLog
from streamscore.tables.log_entry import ENTRY

MODELS = 3  # versions that scored last, kept for replays and for a start without the registry
HOUR = 3600.0

CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.parquet")
OF_VERSION = re.compile(r"\.?(\d{20})\.(json|crc|json\.crc|checkpoint[\w.-]*\.parquet(\.crc)?)")
PART = re.compile(r"part-[\w.-]+\.parquet")
LEFT_BY_A_CRASH = re.compile(r"\..+\.[0-9a-f]{32}\.tmp|_commit_[0-9a-f-]+\.json\.tmp|\.part-[\w.-]+\.parquet\.crc")


def expired_entries(listed: Sequence[Listed], folded: int, before: float) -> list[str]:
    """The files of a table's log that no reader of a version written since `before` needs, oldest first.

    All are older than a checkpoint of the log, which itself is older than the first entry that is kept. So who reads
    the newest version, or follows the table from an entry that is there, finds all that he needs.

    Args:
        folded: entries above this version are kept; their commits are told nowhere else yet.
        before: seconds since 1970.
    """
    entries = {int(match[1]): file.modified for file in listed if (match := ENTRY.fullmatch(file.name))}
    kept = min(
        (version for version, modified in entries.items() if modified >= before), default=max(entries, default=0)
    )
    checkpoints = [int(match[1]) for file in listed if (match := CHECKPOINT.fullmatch(file.name)) and file.size]
    first = max((version for version in checkpoints if version <= min(kept, folded + 1)), default=0)
    old = [(int(match[1]), file.name) for file in listed if (match := OF_VERSION.fullmatch(file.name))]
    return [name for version, name in sorted(old) if version < first]


def clean_log(of_table: DeltaLog, folded: int | None, hours: float, *, dry_run: bool) -> int:
    """Delete expired entries of a table's log, and what crashes left there; gives the number of files.

    Args:
        folded: None: no entry is told elsewhere, or needs to be.
        hours: that entries are kept.
    """
    folder, before = of_table.folder.at("_delta_log"), time.time() - hours * HOUR
    listed = folder.listed()
    pointer = of_table.last_checkpoint()
    names = expired_entries(listed, pointer if folded is None else min(folded, pointer), before)
    names += _leftovers(listed, before)
    return len(names) if dry_run else _delete(folder, names)


def vacuum(of_table: DeltaLog, hours: float, *, dry_run: bool) -> tuple[int, int]:
    """Delete files in a table's folder that are not in the table; gives their number and bytes.

    Only such as left the table so many hours ago, for who reads an older version, and were written so many hours ago:
    a micro-batch that is not committed yet has its parts there.
    """
    before = time.time() - hours * HOUR
    listed = of_table.folder.listed()
    table = of_table.handle()  # after the listing: what was listed and committed in between is in it
    unused = table.vacuum(math.ceil(hours), dry_run=True, enforce_retention_duration=False, full=True)
    unused_names = set(unused) - set(table.get_add_actions()["path"].to_pylist())
    sizes = {
        f.name: f.size for f in listed if PART.fullmatch(f.name) and f.modified < before and f.name in unused_names
    }
    leftovers = _leftovers(listed, before)
    if not dry_run:
        _delete(of_table.folder, [*sizes, *leftovers])
    return len(sizes) + len(leftovers), sum(sizes.values())


def clean_models(checkpoint: Folder, scratch: Path, hours: float, *, dry_run: bool) -> int:
    """Delete downloaded model versions that neither scored lately nor were used for so many hours; gives their number.

    One that a replay wants after all is fetched from the registry again.
    """
    if not (scratch / "models").is_dir():
        return 0
    recent: list[str] = []
    for line in checkpoint.open_journal("models").lines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            name = Path(json.loads(line)["path"]).name
            recent = [*(one for one in recent if one != name), name][-MODELS:]
    before = time.time() - hours * HOUR
    old = [
        folder
        for folder in (scratch / "models").iterdir()
        if folder.is_dir() and folder.name not in recent and folder.stat().st_mtime < before
    ]
    for folder in () if dry_run else old:
        shutil.rmtree(folder, ignore_errors=True)
    return len(old)


def _leftovers(listed: Iterable[Listed], before: float) -> list[str]:
    return [file.name for file in listed if LEFT_BY_A_CRASH.fullmatch(file.name) and file.modified < before]


def _delete(folder: Folder, names: Sequence[str]) -> int:
    """Delete files, once what takes their place is safe from a power cut: a log checkpoint, a part that holds more."""
    if names:
        folder.sync()
    folder.delete_all(names)
    return len(names)
