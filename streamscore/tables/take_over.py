"""A start takes the tables over, so that no other driver commits to them any more."""

import time
import uuid
from collections.abc import Callable, Mapping
from typing import TypeAlias

from deltalake.exceptions import CommitFailedError, DeltaError

from schemas.errors import ConflictError
from streamscore.storage.lease import this_process
from streamscore.tables.delta_log import ATTEMPTS, NO_HOOKS, DeltaLog
from streamscore.tables.log_entry import unusable
from streamscore.tables.owner import OWNER, Owner, known_with, owned_by

Properties: TypeAlias = Mapping[str, str]


def take_over(predictions: DeltaLog, quarantine: DeltaLog, app_id: str, *, recover: bool) -> None:
    """Make this run the owner of both tables, and their logs its own.

    1. Take predictions, from an earlier run of the same checkpoint; with `recover` from whomever.  2. Take quarantine.
    Predictions decide: of two takeovers at once the later one gets both tables. A crash between the two is repaired by
    the next start, which takes them over again.

    Raises:
        ConflictError: another checkpoint owns them, or a later takeover came first.
        StorageError: the tables cannot be changed.
    """
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    run = {"run": uuid.uuid4().hex, "holder": this_process(), "since": now}
    there = Owner.of(quarantine.properties)
    at_least = there.number if there else 0

    def of_predictions(properties: Properties) -> Properties:
        there = _whose(predictions, properties, None if recover else app_id)
        owner = Owner(max(there.number if there else 0, at_least) + 1, app_id, **run)
        return {OWNER: owner.to_property()} | ({} if recover else known_with(app_id, properties))

    def of_quarantine(properties: Properties) -> Properties:
        there = Owner.of(properties)
        if there and there.number > owner.number:
            raise ConflictError(owned_by(there, quarantine.uri))
        return {OWNER: owner.to_property()}

    # 1
    owner = _own(predictions, of_predictions, run["run"])
    # 2
    _own(quarantine, of_quarantine, run["run"])
    for log in (predictions, quarantine):
        log.owner = owner
        log.assert_writable()


def register(predictions: DeltaLog, app_id: str) -> None:
    """List a checkpoint as one that the table knows.

    Raises:
        ConflictError: another one owns the table.
        StorageError: the table cannot be changed.
    """

    def listed(properties: Properties) -> Properties:
        _whose(predictions, properties, app_id)
        return known_with(app_id, properties)

    _change(predictions, listed)


def _whose(log: DeltaLog, properties: Properties, app_id: str | None) -> Owner | None:
    """Who owns a table; refuse another checkpoint's than this one, where one is given."""
    there = Owner.of(properties)
    if there and app_id and there.app_id != app_id:
        raise ConflictError(owned_by(there, log.uri))
    return there


def _own(log: DeltaLog, wanted: Callable[[Properties], Properties], run: str) -> Owner:
    """Set the owner, and look who it is then."""
    _change(log, wanted)
    owner = Owner.of(log.properties)
    if owner is None or owner.run != run:
        raise ConflictError(owned_by(owner, log.uri) if owner else f"{log.uri} was made anew meanwhile; start again")
    return owner


def _change(log: DeltaLog, wanted: Callable[[Properties], Properties]) -> None:
    """Set the properties that are wanted where they differ; anew where others changed the table meanwhile."""
    for left in reversed(range(ATTEMPTS)):
        table = log.handle_to_write()
        there = table.metadata().configuration
        found = wanted(there)
        if found.items() <= there.items():
            break
        try:
            # fails if another commit since that version changed the table, and not if it added to it
            table.alter.set_table_properties(dict(found), False, post_commithook_properties=NO_HOOKS)
            break
        except CommitFailedError as error:
            if not left:
                raise unusable(log.uri, "change", error) from error
        except (DeltaError, OSError) as error:
            raise unusable(log.uri, "change", error) from error
    log.refresh()
