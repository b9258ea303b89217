"""Rules turn as their commits say, and the same however often whoever evaluates them is killed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.monitoring.alerts.evaluate import Evaluator, Transition
from jobs.monitoring.alerts.observation import Observation, Tick
from schemas.alerts import AnyRule, alerts_of

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HIGH = {"name": "high", "kind": "value", "column": "prediction", "above": 9}


def rules(*said: dict[str, Any]) -> tuple[AnyRule, ...]:
    return alerts_of({"rules": list(said)}, "test").rules


def after(seconds: float, rows: Any = None, table: str = "predictions", feed: str = "wine") -> Observation | Tick:
    """Rows, or predictions given as numbers, so many seconds after the begin; or only that time went by."""
    at = BEGIN + timedelta(seconds=seconds)
    if rows is None:
        return Tick(feed, at)
    rows = [row if isinstance(row, dict) else {"prediction": row} for row in rows]
    return Observation(feed, table, int(seconds), at, pa.Table.from_pylist(rows))


def turns(given_rules: tuple[AnyRule, ...], *seen: Observation | Tick) -> list[Transition]:
    evaluator = Evaluator(given_rules)
    return [turn for one in seen for turn in evaluator.observe(one)]


def short(found: list[Transition]) -> list[tuple[float, str]]:
    return [((turn.at - BEGIN).total_seconds(), turn.to) for turn in found]


def test_it_fires_once_and_is_resolved_with_what_is_behind_it() -> None:
    rows = [
        {"prediction": 9.5, "source_file": "a.csv", "source_line": 7, "model_version": "3"},
        {"prediction": 1.0, "source_file": "a.csv", "source_line": 8, "model_version": "3"},
    ]
    found = turns(rules(HIGH), after(1, [5.0]), after(2, rows), after(3, [9.7]), after(4, [8.0]), after(5, [9.1]))
    assert short(found) == [(2, "firing"), (4, "resolved"), (5, "firing")]
    fired, resolved, again = found
    assert (fired.value, fired.version, fired.since, fired.rows) == (9.5, 2, fired.at, (rows[0],))
    assert fired.episode == resolved.episode != again.episode and resolved.since == fired.at


def test_for_wants_the_condition_without_a_break() -> None:
    seen = [after(0, [9.5]), after(30, [9.5]), after(40, [5]), after(50, [9.5]), after(109, [9.5]), after(110, [9.5])]
    found = turns(rules(HIGH | {"for": "1m"}), *seen)
    assert short(found) == [(0, "pending"), (40, "inactive"), (50, "pending"), (110, "firing")]


def test_it_does_not_fire_by_time_alone() -> None:
    assert short(turns(rules(HIGH | {"for": "1m"}), after(0, [9.5]), after(1000))) == [(0, "pending")]


def test_keep_firing_for_makes_one_episode_of_what_goes_up_and_down() -> None:
    rule = rules(HIGH | {"keep_firing_for": "1m"})
    seen = [after(0, [9.5]), after(10, [5]), after(20, [9.5]), after(30, [5]), after(89.9), after(95), after(96, [5])]
    assert short(turns(rule, *seen)) == [(0, "firing"), (10, "recovering"), (30, "recovering"), (90, "resolved")]


def test_a_value_that_flaps_around_its_limit_is_one_episode_by_its_clear_threshold() -> None:
    rule = rules(HIGH | {"clear_above": 8})
    values = [9.5, 8.9, 9.5, 8.5, 9.2, 8.0, 8.9]
    assert short(turns(rule, *(after(n, [v]) for n, v in enumerate(values)))) == [(0, "firing"), (5, "resolved")]


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (HIGH | {"above": None, "below": 3}, [3.0, float("nan"), None], [2.9]),
        (HIGH | {"below": 3}, [5], [5, 2]),
        ({"name": "b", "kind": "value", "column": "prediction", "values": ["red"]}, ["white", None], ["white", "red"]),
        ({"name": "b", "kind": "value", "column": "prediction", "values": [1, 2]}, [3], [2]),
        ({"name": "b", "kind": "value", "column": "prediction", "values": [True]}, [False], [True]),
    ],
)
def test_values_and_ranges(rule: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    found = turns(rules(rule), after(0, good), after(1, bad), after(2, [None]), after(3, good))
    assert short(found)[0] == (1, "firing") and short(found)[-1] == (3, "resolved")


def test_a_count_is_over_its_window() -> None:
    rule = {"name": "busy", "kind": "count", "window": "1m", "above": 5}
    seen = [after(0, [1, 2, 3]), after(30, [1, 2]), after(59, [1]), after(70, [1]), after(200, [1])]
    found = turns(rules(rule), *seen)
    assert short(found) == [(59, "firing"), (70, "resolved")]
    assert [turn.value for turn in found] == [6.0, 4.0]


def test_a_rate_is_a_count_for_a_time() -> None:
    rule = {"name": "slow", "kind": "count", "window": "1m", "per": "1s", "below": 0.1}
    found = turns(rules(rule), after(0, [1] * 60), after(100, [1]))
    assert [(turn.to, round(float(turn.value or 0), 4)) for turn in found] == [("firing", 0.0167)]


def test_only_rows_with_a_value_are_counted() -> None:
    rule = {"name": "types", "kind": "count", "table": "quarantine", "window": "1m", "above": 1}
    rule |= {"column": "reason", "values": ["bad_type"]}
    rows = [{"reason": "bad_type"}, {"reason": "gap"}, {"reason": "gap"}]
    found = turns(rules(rule), after(0, rows, "quarantine"), after(1, [9], "predictions"), after(2, rows, "quarantine"))
    assert short(found) == [(2, "firing")]


def test_the_share_of_rejects_wants_enough_rows() -> None:
    rule = {"name": "many", "kind": "reject_ratio", "window": "1m", "above": 0.1}
    bad, good = {"predictions": 60, "rejects": 20}, {"predictions": 900, "rejects": 0}
    seen = [after(0, [bad], "batches"), after(1, [bad], "batches"), after(2, [good], "batches")]
    found = turns(rules(rule), *seen)
    assert short(found) == [(1, "firing"), (2, "resolved")] and found[0].value == 0.25


def test_absence_is_dated_by_when_it_was_due() -> None:
    rule = rules({"name": "quiet", "kind": "absence", "window": "1m", "for": "30s"})
    found = turns(rule, after(0, [5]), after(59), after(400), after(500, [5]), after(520, [5]), after(700, [5]))
    expected = [
        (60, "pending"),
        (90, "firing"),
        (500, "resolved"),
        (580, "pending"),
        (610, "firing"),
        (700, "resolved"),
    ]
    assert short(found) == expected
    assert short(turns(rule, after(5), after(100))) == [(65, "pending"), (95, "firing")]  # nothing came at all


def test_an_event_holds_until_another_one_or_for_its_moment() -> None:
    refused = {"name": "refused", "kind": "event", "events": ["refused"], "until": ["swapped"]}
    swap = {"name": "swap", "kind": "event", "events": ["swapped"]}
    detail = {"kind": "refused", "detail": "too large", "model_version": "4"}
    seen = [
        after(0, [detail], "events"),
        after(1, [{"kind": "torn"}], "events"),
        after(2, [{"kind": "swapped"}], "events"),
    ]
    found = turns(rules(refused, swap), *seen)
    assert [(turn.rule, *one) for turn, one in zip(found, short(found), strict=True)] == [
        ("refused", 0, "firing"),
        ("refused", 2, "resolved"),
        ("swap", 2, "firing"),
        ("swap", 2, "resolved"),
    ]
    assert found[0].rows == ({"model_version": "4", "detail": "too large"},)


def test_files_that_wait() -> None:
    rule = {"name": "wait", "kind": "waiting_files", "above": 10, "clear_above": 2}
    seen = [after(n, [{"files_waiting": files}], "status") for n, files in enumerate([10, 11, 5, 2])]
    assert short(turns(rules(rule), *seen)) == [(1, "firing"), (3, "resolved")]


def test_what_cannot_be_evaluated_is_said_once_and_resolves_nothing() -> None:
    rule = rules(HIGH | {"column": "predicton"})
    seen = (
        [{"predicton": 9.5}],
        [{"prediction": 1.0}],
        [{"prediction": 1.0}],
        [{"predicton": "x"}],
        [{"predicton": 1.0}],
    )
    found = turns(rule, *(after(n, rows) for n, rows in enumerate(seen)))
    assert short(found) == [(0, "firing"), (1, "error"), (3, "error"), (4, "working"), (4, "resolved")]
    assert found[1].detail == "predictions has no column 'predicton'; did you mean 'prediction'?"
    assert "is string, wanted numbers" in found[2].detail


def test_feeds_are_apart_and_a_rule_may_be_of_some() -> None:
    rule = rules(HIGH, HIGH | {"name": "of_beer", "feeds": ["beer"]})
    found = turns(rule, after(0, [9.5]), after(1, [9.5], feed="beer"))
    assert [(turn.feed, turn.rule) for turn in found] == [("wine", "high"), ("beer", "high"), ("beer", "of_beer")]


def test_a_clock_that_is_set_back_costs_no_alert() -> None:
    day = 86_400.0
    for_rule = rules(HIGH | {"for": "10s", "keep_firing_for": "10s"})
    found = turns(for_rule, after(day, [9.5]), after(0, [9.5]), after(10, [9.5]), after(20, [5]), after(30))
    assert short(found) == [(day, "pending"), (10, "firing"), (20, "recovering"), (30, "resolved")]
    assert len({turn.episode for turn in found}) == 1
    busy = rules({"name": "busy", "kind": "count", "window": "1m", "above": 5})
    assert short(turns(busy, after(day, [1] * 5), after(0, [1] * 5), after(1, [1]))) == [(1, "firing")]
    quiet = rules({"name": "quiet", "kind": "absence", "window": "1m"})
    assert short(turns(quiet, after(day, [1]), after(0, [1]), after(100))) == [(60, "firing")]


ALL = rules(
    HIGH | {"for": "20s", "keep_firing_for": "30s", "clear_above": 8},
    {"name": "busy", "kind": "count", "window": "40s", "above": 5, "keep_firing_for": "15s"},
    {"name": "quiet", "kind": "absence", "window": "50s", "for": "10s", "keep_firing_for": "70s"},
)
SEEN = st.lists(st.tuples(st.integers(1, 60), st.lists(st.sampled_from([5.0, 8.5, 9.5]), max_size=4)), max_size=12)


def stream(steps: list[tuple[int, list[float]]]) -> list[Observation | Tick]:
    seconds, seen = 0, [after(0)]
    for step, values in steps:
        seconds += step
        seen.append(after(seconds, values or None))
    return seen


@given(SEEN, st.integers(0, 12))
def test_a_kill_anywhere_changes_nothing(steps: list[tuple[int, list[float]]], kill: int) -> None:
    seen = stream(steps)
    first, found = Evaluator(ALL), list[Transition]()
    for one in seen[:kill]:
        found += first.observe(one)
    second = Evaluator(ALL, first.to_json())
    for one in seen[kill:]:
        found += second.observe(one)
    assert found == turns(ALL, *seen)


@given(SEEN, st.lists(st.integers(0, 600), max_size=10))
def test_how_often_the_clock_is_looked_at_changes_nothing(
    steps: list[tuple[int, list[float]]], ticks: list[int]
) -> None:
    seen = [one for one in stream(steps) if isinstance(one, Observation)]
    end = after(1000)
    ticked = sorted([*seen, *map(after, ticks)], key=lambda one: (one.at, isinstance(one, Tick)))
    begin = after(0)
    assert turns(ALL, begin, *ticked, end) == turns(ALL, begin, *seen, end)
