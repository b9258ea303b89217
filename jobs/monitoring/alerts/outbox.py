"""Notices that are to be sent: made of transitions, kept until they are received or given up. Pure; sends nothing."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from jobs.monitoring.alerts.evaluate import Transition
from jobs.monitoring.json_lines import plain
from schemas.alerts import AnyRule, Receiver

NOTICED = ("firing", "resolved", "error", "working")
PAUSES = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)  # seconds, of Standard Webhooks: three days
LONGEST = 86_400  # a receiver that says when to come again is believed for a day
GONE = 410


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice to one receiver.

    Attributes:
        id: the same however often it is sent, and whoever makes it again of the same transition.
        attempts: that failed.
        due: seconds since 1970, when to send it.
        problem: why the last attempt failed.
        is_dead: it is not sent any more.
    """

    id: str
    receiver: str
    episode: str
    body: str
    due: float
    attempts: int = 0
    problem: str = ""
    is_dead: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an attempt.

    Attributes:
        status: of HTTP; 0: no answer.
        after: seconds that the receiver asks to wait.
    """

    status: int
    problem: str = ""
    after: float | None = None


def notices_of(
    turns: Iterable[Transition], rules: Mapping[str, AnyRule], receivers: Sequence[Receiver], now: float
) -> list[Notice]:
    """A notice for each transition that is worth one, to each receiver of its severity, in their order."""
    return [
        Notice(_id(turn, receiver.name), receiver.name, turn.episode or turn.rule, _body(turn, rules[turn.rule]), now)
        for turn in turns
        if turn.to in NOTICED
        for receiver in receivers
        if rules[turn.rule].severity in receiver.severities
    ]


def next_of(notices: Sequence[Notice], now: float) -> Notice | None:
    """The notice to send now, of those to one receiver; those of an episode in their order."""
    waiting = set[str]()
    for notice in notices:
        if not notice.is_dead and notice.episode not in waiting:
            if notice.due <= now:
                return notice
            waiting.add(notice.episode)
    return None


def after(notice: Notice, answer: Answer, now: float) -> Notice | None:
    """What becomes of a notice by an answer; None: it was received."""
    if 200 <= answer.status < 300:
        return None
    failed = replace(notice, attempts=notice.attempts + 1, problem=answer.problem or f"answered {answer.status}")
    if answer.status == GONE or notice.attempts >= len(PAUSES):
        return replace(failed, is_dead=True)
    pause = float(PAUSES[notice.attempts])
    if answer.status in (429, 503) and answer.after is not None:
        pause = min(answer.after, LONGEST)
    return replace(failed, due=now + pause)


def to_json(notices: Sequence[Notice]) -> list[dict[str, Any]]:
    """For the state."""
    return [asdict(notice) for notice in notices]


def from_json(said: Iterable[Mapping[str, Any]]) -> list[Notice]:
    """What `to_json` made."""
    return [Notice(**one) for one in said]


def _id(turn: Transition, receiver: str) -> str:
    """The idempotency key: the same transition gives the same one."""
    name = [turn.feed, turn.rule, turn.episode, turn.to, turn.at.isoformat(), receiver]
    return "msg_" + hashlib.sha256(json.dumps(name).encode()).hexdigest()[:32]


def _body(turn: Transition, rule: AnyRule) -> str:
    """As Standard Webhooks has it: type, timestamp, data. What stands in a CSV file is data, and never markup."""
    limits = {name: getattr(rule, name, None) for name in ("above", "below", "clear_above", "clear_below")}
    said = rule.model_dump(include={"severity", "summary", "runbook", "kind"})
    data = plain(asdict(turn)) | {"limits": {k: v for k, v in limits.items() if v is not None}} | said
    return json.dumps({"type": f"alert.{turn.to}", "timestamp": turn.at.isoformat(), "data": data}, allow_nan=False)
