"""Rules against made-up rows in a file: which of them fire when, without a stream and without waiting."""

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobs.monitoring.alerts.evaluate import Evaluator
from jobs.monitoring.alerts.observation import Observation, Tick
from schemas.alerts import AnyRule, Duration, load_alerts
from schemas.errors import SettingsError
from schemas.feed import first_problem
from schemas.yaml_text import read_yaml

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)  # what `at` counts from
_Turn = tuple[timedelta, str, str]
SHOWN = ("firing", "resolved", "error")  # what a test has to expect


class Commit(BaseModel):
    """Rows that come at a time; without rows, only the time goes by.

    Attributes:
        at: since the begin of the test.
        times: how often each row is there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: Duration
    table: str = "predictions"
    rows: tuple[dict[str, Any], ...] = ()
    times: int = Field(1, gt=0)


class Expected(BaseModel):
    """What a rule turns to, and when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: Duration
    rule: str
    state: Literal["firing", "resolved", "error"]


class Case(BaseModel):
    """What comes, and all that turns by it to `firing`, `resolved` or `error`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    feed: str = "any"
    commits: tuple[Commit, ...]
    expect: tuple[Expected, ...] = ()


class CheckFile(BaseModel):
    """Tests of rules.

    Attributes:
        rules: the file of the rules, beside this one; those of `conf/alerts.yaml` where none is named.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: str = ""
    tests: tuple[Case, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of a test.

    Attributes:
        missing, unexpected: turns as `6m0s rule firing`; the test is passed if there are none.
    """

    name: str
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]

    @property
    def is_passed(self) -> bool:
        return not self.missing and not self.unexpected


def check(path: Path) -> list[CaseResult]:
    """Run the tests in a file.

    Raises:
        SettingsError: the file, or that of the rules, is wrong; names the key, what was found and wanted.
    """
    try:
        file = CheckFile.model_validate(read_yaml(path))
    except ValidationError as error:
        msg = f"{path}: {first_problem(error, CheckFile)}"
        raise SettingsError(msg) from error
    rules = load_alerts(path.parent / file.rules if file.rules else None).rules
    known = [rule.name for rule in rules]
    for name in (one.rule for case in file.tests for one in case.expect):
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            msg = f"{path}: no rule '{name}'; " + (
                f"did you mean '{near[0]}'?" if near else f"rules: {', '.join(known)}"
            )
            raise SettingsError(msg)
    return [_run(case, rules) for case in file.tests]


def _run(case: Case, rules: Sequence[AnyRule]) -> CaseResult:
    evaluator = Evaluator(rules)
    turns = [turn for seen in _observations(case) for turn in evaluator.observe(seen) if turn.to in SHOWN]
    found = Counter[_Turn]((turn.at - BEGIN, turn.rule, turn.to) for turn in turns)
    wanted = Counter[_Turn]((one.at, one.rule, one.state) for one in case.expect)
    return CaseResult(case.name, _said(wanted - found), _said(found - wanted))


def _observations(case: Case) -> Iterator[Observation | Tick]:
    yield Tick(case.feed, BEGIN)
    for version, commit in enumerate(case.commits):
        at = BEGIN + commit.at
        rows = [row for row in commit.rows for _ in range(commit.times)]
        yield (
            Observation(case.feed, commit.table, version, at, pa.Table.from_pylist(rows))
            if rows
            else Tick(case.feed, at)
        )


def _said(turns: Counter[_Turn]) -> tuple[str, ...]:
    return tuple(f"{at.total_seconds():g}s {rule} {to}" for at, rule, to in sorted(turns.elements()))
