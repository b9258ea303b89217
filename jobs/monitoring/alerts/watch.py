"""`streamscore watch`: the tables of a feed followed, its rules evaluated, turns stored, and then sent.

A turn is sent only once it is stored with the cursors that led to it. A kill before that makes the same turn again,
with the same id of its notice; a kill after it sends what is in the outbox.
"""

import functools
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import structlog

from jobs.monitoring.alerts import outbox
from jobs.monitoring.alerts.commits import commits
from jobs.monitoring.alerts.deliver import Delivery
from jobs.monitoring.alerts.evaluate import Evaluator, Transition
from jobs.monitoring.alerts.observation import STATUS, Observation, Tick, table_name, tables_of
from jobs.monitoring.alerts.store import AlertsTable
from schemas.alerts import Alerts, WaitingFilesRule
from schemas.errors import ContractError, StorageError
from schemas.feed import Feed
from schemas.settings import Settings
from schemas.tables import ALERTS
from streamscore.following.cursor import Cursor
from streamscore.following.follow_table import open_follower
from streamscore.following.follower import TableFollower
from streamscore.tables.read_table import table_uri

log = structlog.get_logger()

LAG_SECONDS = 2.0  # a commit is there so long after its time at the latest: until then, time alone decides nothing
SAVE_SECONDS = 60.0  # between two commits where no rule turned; after a kill so much is evaluated again
COUNT_SECONDS = 30.0  # between two looks at how many files wait
RETRY_SECONDS = 2.0  # after storage failed
MOST = 2000  # notices that are remembered: a receiver that is away for days must not fill the table
DEAD = 100  # notices that were given up, and are remembered


class FeedWatch:
    """One feed. `look` never waits."""

    def __init__(
        self,
        feed: Feed,
        alerts: Alerts,
        settings: Settings,
        senders: Mapping[str, Callable[[outbox.Notice], outbox.Answer]],
        count_waiting: Callable[[], int | None],
    ) -> None:
        """Go on from what is stored; where nothing is, with what is committed from now on.

        Args:
            senders: make one attempt to send a notice; by the name of the receiver.
            count_waiting: the files that wait, None if there is no landing folder.

        Raises:
            StorageError: the table `alerts` cannot be made or read.
        """
        self._feed, self._alerts, self._settings = feed, alerts, settings
        self._deliveries = {name: Delivery(name, send) for name, send in senders.items()}
        self._count_waiting = count_waiting
        self._rules = {rule.name: rule for rule in alerts.rules}
        self._table = AlertsTable(table_uri(feed, ALERTS, settings, "watch"), settings.storage)
        stored: dict[str, Any] = self._table.load() or {}
        cursors = stored.get("cursors", {})
        self._cursors: dict[str, Cursor | None] = {
            table: Cursor(**cursors[table]) if table in cursors else None
            for table in tables_of(alerts.rules, feed.name)
        }
        self._followers = {table: self._follow(table) for table in self._cursors}
        self._evaluator = Evaluator(alerts.rules, json.dumps(stored.get("rules", {})))
        self._outbox = outbox.from_json(stored.get("outbox", ()))
        self._turns: list[Transition] = []  # that are not stored yet
        self._saved: dict[str, Cursor | None] = {}
        self._saved_at, self._counted_at, self._is_changed = 0.0, 0.0, True
        self._failed: dict[str, float] = {}  # what does not work → when it is tried again
        self._send([notice for notice in self._outbox if not notice.is_dead])
        for delivery in self._deliveries.values():
            delivery.start()

    def look(self) -> None:
        """Evaluate what is new, store what turned, and hand it on to be sent.

        Raises:
            TryAgainError: another watcher of this feed is at work.
        """
        until = datetime.fromtimestamp(time.time() - LAG_SECONDS, UTC)
        for table in self._followers:
            self._try(table, functools.partial(self._read, table))
        self._count()
        if not self._failed:  # else it is not known what was committed
            self._observe(Tick(self._feed.name, until))
        self._take_results()
        has_moved = self._cursors != self._saved and time.time() - self._saved_at >= SAVE_SECONDS
        if self._turns or self._is_changed or has_moved:
            self._try(ALERTS, self._save)

    def finish(self) -> None:
        """End the attempts that are under way, and store what became of them; between two looks."""
        for delivery in self._deliveries.values():
            delivery.stop()
        self._take_results()
        self._failed.clear()
        self._try(ALERTS, self._save)

    def _read(self, table: str) -> None:
        try:
            for seen, cursor in commits(self._followers[table], self._feed.name, table):
                if seen:
                    self._observe(seen)
                self._cursors[table] = cursor
            self._cursors[table] = self._followers[table].cursor
        except (StorageError, ContractError):
            self._followers[table] = self._follow(table)  # what of a commit was read is read again with the rest
            raise

    def _follow(self, table: str) -> TableFollower:
        return open_follower(self._feed, table_name(self._feed, table), self._cursors[table], self._settings)

    def _count(self) -> None:
        """Files that wait are in no table: they are counted now and then."""
        now = time.time()
        wanted = any(isinstance(rule, WaitingFilesRule) for rule in self._alerts.rules)
        if wanted and now >= self._counted_at + COUNT_SECONDS:
            self._try(STATUS, self._observe_waiting)
            self._counted_at = now + 20 * (time.time() - now)  # at most a twentieth of the time

    def _observe_waiting(self) -> None:
        if (waiting := self._count_waiting()) is not None:
            rows = pa.table({"files_waiting": [waiting]})
            self._observe(Observation(self._feed.name, STATUS, -1, datetime.now(UTC), rows))

    def _observe(self, seen: Observation | Tick) -> None:
        for turn in self._evaluator.observe(seen):
            self._turns.append(turn)
            log.info("alert", **_said(turn))

    def _take_results(self) -> None:
        results: dict[str, outbox.Notice | None] = {}
        for delivery in self._deliveries.values():
            results |= delivery.results()
        if results:
            self._is_changed = True
            kept = (results.get(notice.id, notice) for notice in self._outbox)
            self._outbox = [notice for notice in kept if notice is not None]

    def _save(self) -> None:
        made = outbox.notices_of(self._turns, self._rules, self._alerts.receivers, time.time())
        dead = [notice for notice in self._outbox if notice.is_dead][:-DEAD]
        box = [notice for notice in self._outbox if notice not in dead] + made
        if len(box) > MOST:
            log.error("notices given up", feed=self._feed.name, notices=len(box) - MOST)
            box = box[-MOST:]
        cursors = {table: json.loads(cursor.to_json()) for table, cursor in self._cursors.items() if cursor}
        rules = json.loads(self._evaluator.to_json())
        severities: dict[str, str] = {rule.name: rule.severity for rule in self._alerts.rules}
        state = {"cursors": cursors, "rules": rules, "outbox": outbox.to_json(box)}
        self._table.save(state, self._turns, severities)
        self._turns, self._outbox, self._is_changed = [], box, False
        self._saved, self._saved_at = dict(self._cursors), time.time()
        self._send(made)

    def _send(self, notices: list[outbox.Notice]) -> None:
        for name, delivery in self._deliveries.items():
            delivery.add([notice for notice in notices if notice.receiver == name])

    def _try(self, what: str, do: Callable[[], None]) -> None:
        """What fails is said once, and tried again a little later; the rest goes on."""
        if time.time() < self._failed.get(what, 0.0):
            return
        try:
            do()
            self._failed.pop(what, None)
        except (StorageError, ContractError) as error:
            if what not in self._failed:
                log.warning("storage failed, trying again", feed=self._feed.name, what=what, error=str(error))
            self._failed[what] = time.time() + RETRY_SECONDS


def _said(turn: Transition) -> dict[str, Any]:
    said = {"rule": turn.rule, "feed": turn.feed, "to": turn.to, "at": turn.at.isoformat(), "episode": turn.episode}
    return said | {"value": turn.value, "detail": turn.detail}
