"""Parts that no commit took: what a full disk would keep of each start."""

from contextlib import suppress

from schemas.errors import StorageError
from schemas.tables import QUARANTINE
from streamscore.storage.places import open_folder
from streamscore.tables.parts import Parts
from streamscore.tables.tables import Tables


def discard_uncommitted(parts: Parts, tables: Tables) -> None:
    """Delete the parts of a micro-batch whose commit failed for good, but for those that are in.

    In an object store a request whose answer did not come may still be carried out, so maintenance deletes them later.
    """
    logs = zip((tables.scored, QUARANTINE), tables.folders, (parts.predictions, parts.rejects), strict=True)
    with suppress(StorageError, OSError):
        for table, uri, written in logs:
            folder = open_folder(uri, tables.storage)
            if written and not folder.is_remote:
                there = set(tables.log(table).handle().get_add_actions()["path"].to_pylist())
                folder.delete_all(part.path for part in written if part.path not in there)
