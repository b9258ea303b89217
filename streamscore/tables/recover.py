"""Checkpoint and tables belong together; where the checkpoint is lost, the tables say what is done."""

from collections.abc import Iterator

import pyarrow.compute as pc
from deltalake import write_deltalake
from deltalake.exceptions import CommitFailedError

from schemas.errors import ConflictError, RecoveryError
from schemas.tables import BATCHES, QUARANTINE, QUARANTINE_SCHEMA
from streamscore.landing.manifest import LandedFile
from streamscore.tables.batch import BatchRecord
from streamscore.tables.commit import predicate, record_of_row
from streamscore.tables.delta_log import ATTEMPTS, NO_HOOKS
from streamscore.tables.housekeeping import append_events
from streamscore.tables.owner import owned_by
from streamscore.tables.tables import Tables
from streamscore.tables.torn import has_set_aside

BATCHES_AT_ONCE = 1000  # rows of `batches` in memory
ORPHANS_AT_ONCE = 100  # in one predicate


def assert_known_checkpoint(
    tables: Tables, app_id: str, *, is_new: bool, recover: bool = False, last_commit: int = -1
) -> None:
    """A checkpoint that the tables do not know may go on only over tables without rows, and never over another's.

    Args:
        is_new: made by this start; for the message.
        recover: the tables' word is taken by `processed_files`; nothing is refused.
        last_commit: the newest micro-batch that Spark holds for done, -1 if none.

    Raises:
        ConflictError: another checkpoint owns the tables.
        RecoveryError: rows would be scored twice, or files would be left out; says how to go on.
    """
    if recover:
        return
    knows, owner = _knows(tables, app_id), tables.owner
    foreign = owner is not None and owner.app_id != app_id
    if owner and foreign and (knows or not _has_rows(tables)):
        raise ConflictError(owned_by(owner, tables.predictions.uri))
    if knows:
        return
    again = f"go on from what the tables say: streamscore run {tables.feed.name} --recover"
    if _has_rows(tables):
        found = "new" if is_new else "unknown to them"
        whose = f", they belong to {owner}" if foreign else ""
        msg = f"the tables in {tables.path} have rows and checkpoint {app_id} is {found}{whose}; {again}"
        raise RecoveryError(msg)
    if last_commit >= 0:
        msg = (
            f"checkpoint {app_id} has done micro-batch {last_commit}, and the tables in {tables.path} have none of it; "
            f"give it its own (--tables DIR), or score everything again: streamscore run {tables.feed.name} --recover"
        )
        raise RecoveryError(msg)


def processed_files(tables: Tables, app_id: str) -> list[LandedFile]:
    """What is done, by the tables alone: the files of all predictions commits, for the ledger of a new checkpoint.

    Rejects of batches whose predictions are not in (a crash came between the two commits) are deleted, since their
    files will be scored again. The tables do not know the checkpoint yet: `Tables.register_checkpoint` says so once its
    ledger is durable, so that a crash in between ends in another `--recover` and not in doubled rows.
    """
    files: dict[tuple[str, tuple[int, int, str]], LandedFile] = {}
    batches: set[tuple[str, int]] = set()
    for record in _records(tables):
        batches.add((record.app_id, record.batch_id))
        for file in record.files:
            files.setdefault((file.path, file.content), file)
    deleted = _delete_orphans(tables, batches)
    detail = f"{len(files)} files in {len(batches)} batches are done; rejects of {deleted} unfinished batches deleted"
    append_events(tables, [{"kind": "recovered", "app_id": app_id, "detail": detail}])
    return list(files.values())


def refused_files(tables: Tables) -> list[str]:
    """The names (`source_file`) of the files that were refused as a whole, by quarantine."""
    if not tables.exists(QUARANTINE):
        return []
    refused = tables.quarantine.dataset().to_table(["source_file"], filter=pc.field("source_line").is_null())
    return sorted(set(refused["source_file"].to_pylist()))


def _knows(tables: Tables, app_id: str) -> bool:
    if not tables.exists(tables.scored):
        return False
    return app_id in tables.app_ids or tables.predictions.transaction(app_id) is not None


def _has_rows(tables: Tables) -> bool:
    return any(
        tables.exists(table) and tables.log(table).handle().get_add_actions().num_rows > 0
        for table in (tables.scored, QUARANTINE)
    )


def _records(tables: Tables) -> Iterator[BatchRecord]:
    """Of every predictions commit, once: from `batches`, then from what the log still has.

    A power cut may have taken a commit of predictions, and not what `batches` says of it.
    """
    seen: set[tuple[str, int]] = set()
    tables.predictions.refresh()
    is_cut = has_set_aside(tables.predictions.folder.at("_delta_log"))
    if tables.exists(BATCHES):
        for rows in tables.batches.dataset().to_batches(batch_size=BATCHES_AT_ONCE):
            for row in rows.to_pylist():
                newest = tables.predictions.transaction(row["app_id"]) if is_cut else row["batch_id"]
                if newest is not None and row["batch_id"] <= newest:
                    seen.add((row["app_id"], row["batch_id"]))
                    yield record_of_row(row)
    for entry in tables.predictions.entries():
        record = BatchRecord.from_json(entry.metadata, entry.version, entry.at)
        if record and (record.app_id, record.batch_id) not in seen:
            yield record


def _delete_orphans(tables: Tables, batches: set[tuple[str, int]]) -> int:
    """Delete rejects whose batch is not in; gives the number of such batches.

    A batch is in if it is found, or if a newer one of its stream is: then its record is lost, but not its rows.
    """
    if not tables.exists(QUARANTINE):
        return 0
    there = tables.quarantine.dataset().to_table(columns=["app_id", "batch_id"])
    orphans = []
    for pair in there.group_by(["app_id", "batch_id"]).aggregate([]).to_pylist():
        newest = tables.predictions.transaction(pair["app_id"]) if pair["app_id"] else None
        known = (pair["app_id"], pair["batch_id"]) in batches
        if pair["app_id"] and not known and (newest is None or pair["batch_id"] > newest):
            orphans.append(f"({predicate(pair)})")
    for i in range(0, len(orphans), ORPHANS_AT_ONCE):
        _delete(tables, " OR ".join(orphans[i : i + ORPHANS_AT_ONCE]))
    return len(orphans)


def _delete(tables: Tables, rows: str) -> None:
    """Delete rows of quarantine; again where their files were compacted meanwhile."""
    for left in reversed(range(ATTEMPTS)):
        try:
            write_deltalake(
                tables.quarantine.handle_to_write(),
                QUARANTINE_SCHEMA.empty_table(),
                mode="overwrite",
                predicate=rows,
                post_commithook_properties=NO_HOOKS,
            )
            return
        except CommitFailedError:
            if not left:
                raise
