"""Notices are kept until they are received, in the order of their episode, with the same id."""

from datetime import UTC, datetime
from itertools import accumulate

import pytest

from jobs.monitoring.alerts.evaluate import Transition
from jobs.monitoring.alerts.outbox import PAUSES, Answer, Notice, after, from_json, next_of, notices_of, to_json
from schemas.alerts import alerts_of

RECEIVER = {"name": "me", "url": "https://example.org/in", "secret_env": "SECRET"}
ALERTS = alerts_of(
    {
        "rules": [{"name": "high", "kind": "value", "column": "x", "above": 9, "summary": "<b>too</b> high"}],
        "receivers": [RECEIVER, RECEIVER | {"name": "nights", "severities": ["critical"]}],
    },
    "test",
)
AT = datetime(2026, 1, 1, tzinfo=UTC)
FIRED = Transition("high", "wine", "firing", AT, AT, "e1", 7, 9.5, rows=({"source_file": "<img>", "x": float("nan")},))


def notice(name: str, episode: str = "e", due: float = 0.0, attempts: int = 0) -> Notice:
    return Notice(name, "me", episode, "{}", due, attempts)


def made(turn: Transition) -> list[Notice]:
    return notices_of([turn], {rule.name: rule for rule in ALERTS.rules}, ALERTS.receivers, 5.0)


def test_a_transition_makes_one_notice_for_each_receiver_of_its_severity() -> None:
    (one,) = made(FIRED)
    assert (one.receiver, one.due, one.episode) == ("me", 5.0, "e1")
    assert '"type": "alert.firing"' in one.body and '"limits": {"above": 9.0}' in one.body and "NaN" not in one.body
    assert made(FIRED) == [one] and from_json(to_json([one])) == [one]
    resolved = Transition("high", "wine", "resolved", AT, AT, "e1", 8)
    assert made(resolved)[0].id != one.id and made(Transition("high", "wine", "pending", AT, AT, "e1", 7)) == []


def test_an_episode_is_told_in_its_order_and_holds_up_no_other() -> None:
    waits, next_one, other = notice("a", "e", due=100), notice("b", "e"), notice("c", "f")
    assert next_of([waits, next_one, other], 10) == other
    assert next_of([waits, next_one], 10) is None
    assert next_of([waits, next_one], 100) == waits


@pytest.mark.parametrize(
    ("status", "asked", "due"), [(500, None, 5), (0, None, 5), (302, None, 5), (500, 99, 5), (429, 2, 2)]
)
def test_what_fails_is_tried_again(status: int, asked: float | None, due: float) -> None:
    left = after(notice("a"), Answer(status, after=asked), 1000.0)
    assert left and (left.due, left.attempts, left.is_dead) == (1000 + due, 1, False)


def test_a_receiver_may_ask_for_a_day_at_most() -> None:
    left = after(notice("a"), Answer(503, after=1e9), 0.0)
    assert left and left.due == 86_400


def test_it_is_given_up_after_three_days_or_where_it_is_not_wanted_any_more() -> None:
    left: Notice | None = notice("a")
    tries = 0
    while left and not left.is_dead:
        left, tries = after(left, Answer(500), left.due), tries + 1
    assert left and tries == len(PAUSES) + 1 and left.due >= 3 * 86_400 == 259_200 <= list(accumulate(PAUSES))[-1]
    gone = after(notice("a"), Answer(410), 0.0)
    assert gone and gone.is_dead and next_of([gone], 1e12) is None
    assert after(notice("a"), Answer(204), 0.0) is None
