"""Rules and observations in, transitions out.

The clock of a rule is the time of the commits of its table. So whoever evaluates the same commits comes to the same
episodes: live, after a kill, and over history. Time alone, by ticks, only says that nothing came, and that a rule has
recovered; both are dated by when they were due, not by the tick.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import itemgetter
from typing import Any, Literal

from pydantic import TypeAdapter

from jobs.monitoring.alerts.measure import Measured, RuleError, measure
from jobs.monitoring.alerts.observation import Observation, Tick, table_of
from jobs.monitoring.alerts.phase import Phase, Turn, resolves_at, set_back, turned
from jobs.monitoring.alerts.window import WindowSums
from schemas.alerts import AbsenceRule, AnyRule, EventRule


@dataclass(frozen=True, slots=True)
class Transition:
    """A rule turned to another state.

    Attributes:
        to: `error` and `working` say of the rule itself that it cannot be evaluated, and that it can be again.
        since: the condition holds, or, of the last ones, held.
        episode: the same from `pending` to `resolved`, and of no other episode.
        version: of the table that the rule is about.
        value: what it found; None where time alone decided.
        rows: the first of the rows behind it.
    """

    rule: str
    feed: str
    to: Turn | Literal["error", "working"]
    at: datetime
    since: datetime | None
    episode: str
    version: int
    value: float | str | None = None
    detail: str = ""
    rows: tuple[dict[str, Any], ...] = ()


@dataclass
class RuleState:
    """What is remembered of one rule and one feed.

    Attributes:
        clock: of its last observation or tick; only a commit of an earlier time sets it back.
        version: of the last commit that it saw.
        last_came: when rows came last, for absence; at first, when somebody began to look.
        problem: why it could not be evaluated the last time.
    """

    phase: Phase = field(default_factory=Phase)
    sums: WindowSums = field(default_factory=WindowSums)
    clock: datetime | None = None
    version: int = -1
    last_came: datetime | None = None
    problem: str = ""


_STATES = TypeAdapter(dict[str, RuleState])


class Evaluator:
    """Rules with what they remember. The same observations in the same order give the same transitions."""

    def __init__(self, rules: Sequence[AnyRule], stored: str | bytes = b"{}") -> None:
        """Go on from what `to_json` made; what is stored of a rule that is gone is kept."""
        self._rules = rules
        self._states = _STATES.validate_json(stored)

    def to_json(self) -> bytes:
        """All that is remembered."""
        return _STATES.dump_json(self._states)

    def observe(self, seen: Observation | Tick) -> list[Transition]:
        """What turns by an observation, oldest first, then in the order of the rules."""
        found: list[Transition] = []
        for rule in self._rules:
            if rule.feeds and seen.feed not in rule.feeds:
                continue
            if isinstance(seen, Tick) or seen.table == table_of(rule):
                state = self._states.setdefault(f"{seen.feed}/{rule.name}", RuleState())
                found += _OneRule(rule, seen.feed, state).observe(seen)
        return sorted(found, key=lambda turn: turn.at)


class _OneRule:
    """One rule over one feed."""

    def __init__(self, rule: AnyRule, feed: str, state: RuleState) -> None:
        self._rule, self._feed, self._state = rule, feed, state

    def observe(self, seen: Observation | Tick) -> Iterator[Transition]:
        """What turns: first what was due before, then by what is there."""
        state = self._state
        at = seen.at
        if state.clock and at < state.clock:
            if isinstance(seen, Tick):  # they lag
                return
            state.phase = set_back(state.phase, at)
            state.last_came = min(state.last_came or at, at)
        state.clock, state.last_came = at, state.last_came or at
        yield from self._due(at)
        if isinstance(seen, Tick):
            return
        state.version = seen.version
        try:
            measured = measure(self._rule, seen, state.sums)
        except RuleError as error:
            if str(error) != state.problem:
                yield self._transition("error", at, state.phase, None, detail=str(error))
            state.problem = str(error)
            return
        if state.problem:
            yield self._transition("working", at, state.phase, None)
        state.problem = ""
        if measured is not None:
            state.last_came = at
            yield from self._turn(at, measured)
            if isinstance(self._rule, EventRule) and not self._rule.until:
                yield from self._turn(at, replace(measured, is_bad=False, is_clear=True))

    def _due(self, until: datetime) -> Iterator[Transition]:
        """What time alone brought, at the moments when it was due."""
        for at, measured in sorted(self._times(), key=itemgetter(0)):
            before = self._state.phase
            if at > until:
                return
            if measured:
                yield from self._turn(at, measured)
            elif resolves_at(self._rule, before) == at:
                self._state.phase = Phase()
                yield self._transition("resolved", at, before, None)

    def _times(self) -> Iterator[tuple[datetime, Measured | None]]:
        """When time alone decides: for how long nothing came, or, None, that a rule has recovered."""
        rule, came = self._rule, self._state.last_came
        if at := resolves_at(rule, self._state.phase):
            yield at, None
        if isinstance(rule, AbsenceRule) and came:
            for at in (came + rule.window, came + rule.window + rule.for_):
                yield at, Measured((at - came).total_seconds(), is_bad=True, is_clear=False)

    def _turn(self, at: datetime, measured: Measured) -> Iterator[Transition]:
        state, before = self._state, self._state.phase
        state.phase, to = turned(
            self._rule, before, at, state.version, is_bad=measured.is_bad, is_clear=measured.is_clear
        )
        if to:
            yield self._transition(to, at, state.phase if state.phase.begun else before, measured)

    def _transition(
        self,
        to: Turn | Literal["error", "working"],
        at: datetime,
        phase: Phase,
        measured: Measured | None,
        detail: str = "",
    ) -> Transition:
        name = f"{self._feed}/{self._rule.name}/{phase.version}/{phase.begun}"
        episode = hashlib.sha256(name.encode()).hexdigest()[:16] if phase.begun else ""
        value, rows = (measured.value, measured.rows) if measured else (None, ())
        version = self._state.version
        return Transition(self._rule.name, self._feed, to, at, phase.begun, episode, version, value, detail, rows)
