"""The table `alerts`: each commit has the turns since the last one, and all that the watcher has to remember.

Cursors, the state of rules and the outbox are in one commit with the turns, with a transaction of its own number. So a
kill anywhere leaves what was there before it or after it, and of two watchers of a feed one cannot commit.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.monitoring.alerts.evaluate import Transition
from jobs.monitoring.json_lines import plain
from schemas.errors import ConflictError, TryAgainError
from schemas.settings import Storage
from schemas.tables import ALERTS_SCHEMA
from streamscore.tables.make import is_table, make_table
from streamscore.tables.own_put_log import OwnPutLog
from streamscore.tables.parts import write_part

APP = "streamscore/alerts"  # app id of these commits
STATE = "state"


class AlertsTable:
    """The table of one feed. For one watcher."""

    def __init__(self, uri: str, storage: Storage) -> None:
        """Open it; it is made where it is missing.

        Raises:
            StorageError: it cannot be made or read.
        """
        if not is_table(uri, storage):
            make_table(uri, ALERTS_SCHEMA, storage)
        self._log = OwnPutLog(uri, storage)
        found = self._log.transaction(APP)
        self._number = 0 if found is None else found

    def load(self) -> dict[str, Any] | None:
        """What was remembered last; None if nothing was."""
        return self._state_of(self._number) if self._number else None

    def save(self, state: dict[str, Any], turns: Sequence[Transition], severities: dict[str, str]) -> None:
        """Commit turns and state, both or neither.

        Raises:
            StorageError: it cannot be written; save the same again.
            TryAgainError: another watcher of this feed committed since.
        """
        number = self._number + 1
        rows: list[dict[str, Any]] = [{"at": datetime.now(UTC), "kind": STATE, "state": json.dumps(state)}]
        rows += [_row(turn) | {"severity": severities.get(turn.rule)} for turn in turns]
        table = pa.Table.from_pylist([row | {"number": number} for row in rows], ALERTS_SCHEMA)
        try:
            self._log.refresh()
            self._log.append([write_part(table, self._log.folder)], APP, number, "")
        except ConflictError as error:
            if self._state_of(number) != state:  # else it is ours, whose answer got lost
                msg = f"{self._log.uri}: another `streamscore watch` of this feed committed since; stop one of them"
                raise TryAgainError(msg) from error
        self._number = number

    def _state_of(self, number: int) -> dict[str, Any] | None:
        is_it = (pc.field("number") == number) & (pc.field("kind") == STATE)
        found = self._log.dataset().to_table(["state"], filter=is_it).to_pylist()
        return dict(json.loads(found[0]["state"])) if found else None


def _row(turn: Transition) -> dict[str, Any]:
    return {
        "at": turn.at,
        "kind": turn.to,
        "rule": turn.rule,
        "episode": turn.episode or None,
        "since": turn.since,
        "table_version": turn.version,
        "value": None if turn.value is None else str(turn.value),
        "detail": turn.detail or None,
        "rows": json.dumps(plain(list(turn.rows)), ensure_ascii=False),
    }
