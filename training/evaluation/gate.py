"""Whether a model is good enough to be a candidate for Production; pure."""

import difflib
import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass

from schemas.errors import SettingsError
from training.evaluation.evaluate import Evaluation, Slice
from training.settings import Gate

# all are 1 at best; of any other metric, 0 is
LARGER_IS_BETTER = frozenset({"r2", "accuracy", "f1", "roc_auc", "bounds_coverage"})


@dataclass(frozen=True, slots=True)
class GateCheck:
    """One demand on a candidate.

    Attributes:
        name: `absolute rmse`, `baseline rmse`, `relative rmse`, or `slice COLUMN=VALUE`.
        found: the candidate's metric.
        wanted: its limit; None where there is nothing to compare with, which passes.
        detail: both in one line, and where the limit comes from.
    """

    name: str
    found: float
    wanted: float | None
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says; `passed` if all checks did."""

    passed: bool
    checks: tuple[GateCheck, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not, a line for each check that failed."""
        return tuple(check.detail for check in self.checks if not check.passed)

    def to_json(self) -> str:
        """`{"passed", "checks": [{"name", "found", "wanted", "passed", "detail"}]}`; what is not finite is null."""
        checks = [{key: _finite(value) for key, value in asdict(check).items()} for check in self.checks]
        return json.dumps({"passed": self.passed, "checks": checks}, indent=2, allow_nan=False)


def judge_candidate(candidate: Evaluation, production: Evaluation | None, gate: Gate) -> Verdict:
    """Hold a candidate against the gate's thresholds; both evaluations are of the same held-out rows.

    1. Absolute limits.  2. The baseline that predicts the mean.  3. The Production model.  4. Each slice.
    A metric of the candidate that is not finite fails its check. A better candidate passes wherever a worse one does,
    and Production against itself passes 3 and 4.

    Args:
        production: of the version that is in Production; None if there is none, or none that can predict these rows.

    Raises:
        SettingsError: the gate names a metric or a slice column that the evaluation lacks.
    """
    metric = gate.metric or ("rmse" if "rmse" in candidate.metrics else "log_loss")
    checks = [
        # 1
        *(
            _check(f"absolute {name}", name, _value(candidate.metrics, name), limit, "the absolute limit")
            for name, limit in gate.absolute.items()
        ),
        # 2
        _against_baseline(candidate, metric, gate.baseline),
    ]
    # 3
    if gate.relative is not None:
        checks.append(_against_production(candidate, production, metric, gate.relative))
    # 4
    checks.extend(_slice_checks(candidate, production, metric, gate))
    return Verdict(all(check.passed for check in checks), tuple(checks))


def assert_known(gate: Gate, metrics: Collection[str], baseline: Collection[str]) -> None:
    """Before anything is fitted: the names of metrics in the gate's settings.

    Args:
        metrics: that the evaluation will have of the candidate; `baseline`: of the baseline.

    Raises:
        SettingsError: it will lack one.
    """
    for name in gate.absolute:
        if name not in metrics:
            msg = "gate.absolute"
            raise _unknown(msg, name, sorted(metrics), "metric")
    if gate.metric and gate.metric not in baseline:
        msg = "gate.metric"
        raise _unknown(msg, gate.metric, sorted(baseline), "metric")


def _against_baseline(candidate: Evaluation, metric: str, share: float) -> GateCheck:
    """At most `share` of the baseline's error; of a metric that is 1 at best, the error is what is missing to 1."""
    found, baseline = _value(candidate.metrics, metric), _value(candidate.baseline, metric)
    limit = 1 - share * (1 - baseline) if metric in LARGER_IS_BETTER else share * baseline
    return _check(f"baseline {metric}", metric, found, limit, f"{100 * share:g} % of the baseline's error")


def _against_production(candidate: Evaluation, production: Evaluation | None, metric: str, worse: float) -> GateCheck:
    name, found = f"relative {metric}", _value(candidate.metrics, metric)
    if production is None:
        return _check(name, metric, found, None, "no Production model to compare with")
    before = _value(production.metrics, metric)
    return _check(name, metric, found, _limit(metric, before, worse), _allowed("Production", before, worse))


def _slice_checks(candidate: Evaluation, production: Evaluation | None, metric: str, gate: Gate) -> Iterator[GateCheck]:
    """The candidate against Production, or where that has no such slice against the baseline, in each large slice.

    A slice that cannot have the metric (roc_auc where all rows are of one class) is passed over.
    """
    known = sorted({part.column for part in candidate.slices})
    there = production.slices if production else ()
    before = {(part.column, part.value): part.metrics for part in there if metric in part.metrics}
    for column in gate.slices:
        if column not in known:
            msg = "gate.slices"
            raise _unknown(msg, column, known, "slice column")
        for part in candidate.slices:
            if part.column == column and part.rows >= gate.slice_rows and metric in part.metrics:
                yield _slice_check(part, before.get((column, part.value)), metric, gate.slice_relative)


def _slice_check(part: Slice, before: Mapping[str, float] | None, metric: str, worse: float) -> GateCheck:
    than = _value(before or part.baseline, metric)
    where = f"{part.column}={part.value}"
    source = _allowed("Production" if before else "the baseline", than, worse)
    return _check(f"slice {where}", metric, part.metrics[metric], _limit(metric, than, worse), source, f" in {where}")


def _allowed(who: str, than: float, worse: float) -> str:
    return f"{who} has {than:.6g}, at most {100 * worse:g} % worse is allowed"


def _limit(metric: str, than: float, worse: float) -> float | None:
    """The value that is worse by a ratio; None where the other has none to compare with."""
    if not math.isfinite(than):
        return None
    return than - worse * abs(than) if metric in LARGER_IS_BETTER else than + worse * abs(than)


def _check(name: str, metric: str, found: float, limit: float | None, source: str, where: str = "") -> GateCheck:
    larger = metric in LARGER_IS_BETTER
    passed = math.isfinite(found) and (limit is None or (found >= limit if larger else found <= limit))
    wanted = "" if limit is None else f", wanted at {'least' if larger else 'most'} {limit:.6g}"
    return GateCheck(name, found, limit, passed, f"{metric}{where} is {found:.6g}{wanted} ({source})")


def _value(metrics: Mapping[str, float], name: str) -> float:
    if name not in metrics:
        msg = "gate"
        raise _unknown(msg, name, sorted(metrics), "metric")
    return metrics[name]


def _unknown(key: str, name: str, known: list[str], what: str) -> SettingsError:
    near = difflib.get_close_matches(name, known, 1)
    return SettingsError(
        f"training setting '{key}' names '{name}', which is no {what} of this evaluation: "
        f"{f'did you mean {near[0]!r}? ' if near else ''}known: {', '.join(known) or 'none'}; see docs/training.md"
    )


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
