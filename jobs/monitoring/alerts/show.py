"""Transitions as lines to read, or as JSON lines."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from jobs.monitoring.alerts.check import CaseResult
from jobs.monitoring.alerts.evaluate import Transition
from jobs.monitoring.json_lines import plain


def line_of(turn: Transition) -> str:
    """When, what, which rule, the value, and the first row behind it: one line, whatever stands in a CSV file."""
    said = f"{turn.at:%Y-%m-%d %H:%M:%S.%f}"[:-3] + f" {turn.to:<10} {turn.rule}"
    if turn.value is not None:
        said += f" {turn.value:.6g}" if isinstance(turn.value, float) else f" {turn.value}"
    first = turn.rows[0] if turn.rows else {}
    where = ":".join(str(first[name]) for name in ("source_file", "source_line") if first.get(name) is not None)
    text = " ".join(filter(None, (said, where, turn.detail or str(first.get("detail") or ""))))
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def json_of(turn: Transition) -> str:
    """Its fields, for programs; times in ISO 8601."""
    return json.dumps(plain(asdict(turn)), ensure_ascii=False, allow_nan=False)


def open_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """Of a stored state, the rules that are not inactive, and the notices that are not received yet, or given up."""
    rules = {
        name: {key: value for key, value in one["phase"].items() if value is not None}
        for name, one in state.get("rules", {}).items()
        if one["phase"]["state"] != "inactive"
    }
    problems = {name: one["problem"] for name, one in state.get("rules", {}).items() if one["problem"]}
    shown = ("id", "receiver", "attempts", "problem", "is_dead")
    notices = [{key: notice[key] for key in shown} for notice in state.get("outbox", ())]
    return {"rules": rules, "errors": problems, "notices": notices}


def lines_of(result: CaseResult) -> list[str]:
    """Whether a test is passed, and what came otherwise than expected."""
    lines = [f"{'ok' if result.is_passed else 'FAILED'}: {result.name}"]
    lines += [f"  expected, and did not come: {turn}" for turn in result.missing]
    return lines + [f"  came, and is not expected: {turn}" for turn in result.unexpected]
