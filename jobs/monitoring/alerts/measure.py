"""What a rule makes of an observation: a value, whether it is bad, whether it is well again, and the rows behind it."""

import difflib
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.monitoring.alerts.observation import Observation, table_of
from jobs.monitoring.alerts.window import WindowSums
from schemas.alerts import (
    AbsenceRule,
    AnyRule,
    CountRule,
    EventRule,
    LimitsRule,
    RejectRatioRule,
    ValueRule,
    WaitingFilesRule,
)

EXAMPLES, TEXT = 5, 300  # rows, and characters of a text
Rows = tuple[dict[str, Any], ...]


class RuleError(Exception):
    """A rule cannot be evaluated over these rows; the message says why."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a rule found.

    Attributes:
        value: that decided; of rows, the worst one.
        is_bad: the rule's condition holds.
        is_clear: it would not go on, if it fired. Between the two thresholds, neither is true.
        rows: the first of the rows behind it: the rule's column, `source_file`, `source_line`, `model_version` and
            `detail`, as far as they have them.
    """

    value: float | str
    is_bad: bool
    is_clear: bool
    rows: Rows = ()


def measure(rule: AnyRule, observation: Observation, sums: WindowSums) -> Measured | None:
    """What a rule makes of an observation of its table; None if that says nothing about it.

    Raises:
        RuleError: it has not the columns, or not of the types, that the rule is about.
    """
    rows = observation.rows
    if not rows.num_rows:
        return None
    try:
        match rule:
            case ValueRule():
                return _one_of(rule, rows) if rule.values else _outside(rule, rows)
            case CountRule():
                number = pc.sum(_has(rows, rule.column, rule.values)).as_py() if rule.column else rows.num_rows
                (count,) = sums.add(observation.at, rule.window, (float(number or 0),))
                return _limited(rule, count * (rule.per / rule.window) if rule.per else count)
            case AbsenceRule():
                return Measured(0.0, is_bad=False, is_clear=True)
            case RejectRatioRule():
                return _ratio(rule, observation, sums)
            case WaitingFilesRule():
                return _limited(rule, float(_column(rows, "files_waiting")[-1].as_py()))
            case EventRule():
                return _last_event(rule, rows)
    except (KeyError, pa.ArrowException) as error:
        raise RuleError(_said(rule, rows, error)) from error


def _limited(rule: LimitsRule, low: float, high: float | None = None, rows: Rows = ()) -> Measured:
    """What a number, or the lowest and the highest of some, is to a rule."""
    high = low if high is None else high

    def is_outside(above: float | None, below: float | None) -> bool:
        return (above is not None and high > above) or (below is not None and low < below)

    clear_above = rule.above if rule.clear_above is None else rule.clear_above
    clear_below = rule.below if rule.clear_below is None else rule.clear_below
    value = high if rule.below is None or is_outside(rule.above, None) else low
    is_clear = not is_outside(clear_above, clear_below)
    return Measured(value, is_outside(rule.above, rule.below), is_clear, rows)


def _outside(rule: ValueRule, rows: pa.Table) -> Measured | None:
    numbers = _column(rows, rule.column)
    if pa.types.is_null(numbers.type):
        return None
    if not (pa.types.is_integer(numbers.type) or pa.types.is_floating(numbers.type)):
        msg = f"column '{rule.column}' is {numbers.type}, wanted numbers for 'above' and 'below'; give 'values' for it"
        raise RuleError(msg)
    there = rows.filter(pc.fill_null(pc.is_finite(numbers), False))
    if not there.num_rows:
        return None
    low, high = pc.min_max(there[rule.column]).as_py().values()
    column, is_bad = pc.field(rule.column), pc.scalar(False)
    is_bad = is_bad if rule.above is None else is_bad | (column > rule.above)
    is_bad = is_bad if rule.below is None else is_bad | (column < rule.below)
    return _limited(rule, low, high, _examples(there.filter(is_bad), rule.column))


def _one_of(rule: ValueRule, rows: pa.Table) -> Measured:
    found = rows.filter(_has(rows, rule.column, rule.values))
    value = _cut(str(found[rule.column][0].as_py())) if found.num_rows else ""
    return Measured(value, found.num_rows > 0, found.num_rows == 0, _examples(found, rule.column))


def _ratio(rule: RejectRatioRule, observation: Observation, sums: WindowSums) -> Measured | None:
    of_commit = (float(pc.sum(_column(observation.rows, name)).as_py() or 0) for name in ("rejects", "predictions"))
    rejects, predictions = sums.add(observation.at, rule.window, tuple(of_commit))
    rows = rejects + predictions
    return _limited(rule, rejects / rows) if rows >= rule.min_rows else None


def _last_event(rule: EventRule, rows: pa.Table) -> Measured | None:
    found = rows.filter(_has(rows, "kind", (*rule.events, *rule.until)))
    if not found.num_rows:
        return None
    last = found.slice(found.num_rows - 1)
    is_bad = last["kind"][0].as_py() in rule.events
    return Measured(last["kind"][0].as_py(), is_bad, not is_bad, _examples(last))


def _has(rows: pa.Table, column: str, values: tuple[Any, ...]) -> pa.ChunkedArray:
    """Where a column has one of the values."""
    found = _column(rows, column)
    return pc.is_in(found, pa.array(list(values)).cast(found.type))


def _column(rows: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in rows.column_names:
        raise KeyError(name)
    return rows[name]


def _examples(rows: pa.Table, *columns: str) -> Rows:
    wanted = dict.fromkeys((*columns, "source_file", "source_line", "model_version", "detail"))
    names = [name for name in wanted if name in rows.column_names]
    found = rows.select(names).slice(0, EXAMPLES).to_pylist() if names else []
    return tuple({name: _cut(value) for name, value in row.items()} for row in found)


def _cut(value: Any) -> Any:
    """A notice is no place for a text of a megabyte."""
    return value[:TEXT] + "…" if isinstance(value, str) and len(value) > TEXT else value


def _said(rule: AnyRule, rows: pa.Table, error: Exception) -> str:
    if not isinstance(error, KeyError):
        return f"its values do not fit the column: {' '.join(str(error).split())}"
    near = difflib.get_close_matches(str(error.args[0]), rows.column_names, 1)
    hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(rows.column_names)}"
    return f"{table_of(rule)} has no column '{error.args[0]}'; {hint}"
