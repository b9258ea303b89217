"""The checkpoint: of this feed and landing folder, whole, known to the tables; and who streams with it."""

import json
import time

from jobs.operations.doctor.result import Check
from jobs.streaming.checkpoint import IDENTITY, Checkpoint
from schemas.errors import ConflictError, RecoveryError, StorageError, StreamscoreError
from schemas.feed import Feed
from schemas.settings import Tables as TablesSettings
from streamscore.storage import lease
from streamscore.storage.folder import Folder
from streamscore.storage.places import as_uri
from streamscore.storage.stream_paths import StreamPaths
from streamscore.tables.recover import assert_known_checkpoint
from streamscore.tables.tables import Tables

LOOKS, POLL_SECONDS = 5, 0.2  # a stream that is running writes its logs while they are compared
BAD = StorageError.exit_code


def check_checkpoint(feed: Feed, paths: StreamPaths) -> Check:
    """Whether a stream of the feed can go on with it."""
    folder, recover = paths.checkpoint, f"streamscore run {feed.name} --recover"
    tables = Tables(paths.tables, feed, TablesSettings(), paths.storage)
    try:
        text = folder.read(IDENTITY)
        if text is None:
            return _without_identity(folder, tables, recover)
        identity = json.loads(text)
        app_id, belongs = identity["app_id"], {"feed": identity["feed"], "landing": identity["landing"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Check("checkpoint", False, f"{folder.uri}/{IDENTITY} is damaged: {error}", recover, BAD)
    wanted = {"feed": feed.name, "landing": as_uri(paths.landing.uri)}
    for key, value in wanted.items():
        if belongs[key] != value:
            fix = f"streamscore run {feed.name} --checkpoint {folder.uri}.{feed.name}"
            return Check("checkpoint", False, f"{folder.uri} belongs to {key} {belongs[key]}, wanted {value}", fix, BAD)
    checkpoint = Checkpoint(folder, app_id, is_new=False, lease=lease.NoLease())
    try:
        assert_known_checkpoint(tables, app_id, is_new=False, last_commit=checkpoint.last_commit)
        _assert_whole(checkpoint, tables)
    except StreamscoreError as error:
        return Check("checkpoint", False, str(error).partition("\n")[0].rpartition("; ")[0], recover, error.exit_code)
    return Check("checkpoint", True, f"{folder.uri}, {app_id}{_holder(folder)}")


def _without_identity(folder: Folder, tables: Tables, recover: str) -> Check:
    try:
        assert_known_checkpoint(tables, "", is_new=True)
    except RecoveryError:
        return Check("checkpoint", False, f"none in {folder.uri}, and the tables have rows", recover, BAD)
    except ConflictError as error:
        found = f"none in {folder.uri}, and {str(error).partition('; ')[0]}"
        return Check("checkpoint", False, found, recover, error.exit_code)
    if folder.names("offsets"):
        return Check("checkpoint", False, f"{folder.uri} has micro-batches and no {IDENTITY}", recover, BAD)
    return Check("checkpoint", True, f"{folder.uri}, not there yet, run makes it")


def _assert_whole(checkpoint: Checkpoint, tables: Tables) -> None:
    for left in reversed(range(LOOKS)):
        try:
            return checkpoint.assert_whole(tables)
        except StreamscoreError:
            if not left:
                raise
            time.sleep(POLL_SECONDS)


def _holder(folder: Folder) -> str:
    """Who streams with a checkpoint in an object store; empty if nobody does, or if it is a local one."""
    held = folder.lease_holder()
    if not held:
        return ""
    seconds = max(0.0, time.time() - held["renewed"])  # by two clocks
    state = "in use by" if seconds < lease.EXPIRE_SECONDS else "left without release by"
    return f", {state} {held['holder']}, renewed {seconds:.0f} s ago"
