import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SettingsError
from training.evaluation.evaluate import Evaluation, Slice
from training.evaluation.gate import LARGER_IS_BETTER, assert_known, judge_candidate
from training.settings import Gate

METRICS = ("rmse", "mae", "r2", "accuracy", "f1", "roc_auc", "log_loss")
NAN = float("nan")


def an_evaluation(metrics: Any, baseline: Any = None, slices: Sequence[Any] = ()) -> Evaluation:
    return Evaluation(metrics, {"rmse": 1.0, "r2": 0.0, "accuracy": 0.5, **(baseline or {})}, {}, tuple(slices))


def a_slice(value: Any, rows: int, rmse: Any, column: str = "kind", baseline: float = 1.0) -> Slice:
    return Slice(column, value, rows, {"rmse": rmse}, {"rmse": baseline})


def passes(candidate: Any, production: Any = None, **gate: Any) -> Any:
    return judge_candidate(candidate, production, Gate(**gate)).passed


def worse_by(metric: str, value: Any, step: Any) -> Any:
    return value - step if metric in LARGER_IS_BETTER else value + step


values = st.floats(0, 1)
metrics = st.fixed_dictionaries(dict.fromkeys(METRICS, values))
kinds = st.sampled_from(["flat", "house", "tent"])
slices = st.lists(
    st.builds(Slice, st.sampled_from(["kind", "place"]), kinds, st.integers(1, 100), metrics, metrics),
    unique_by=lambda part: (part.column, part.value),
)
evaluations = st.builds(Evaluation, metrics, metrics, st.just({}), slices.map(tuple))


@st.composite
def gates(draw: Any) -> Gate:
    return Gate(
        metric=draw(st.sampled_from(METRICS)),
        absolute=draw(st.dictionaries(st.sampled_from(METRICS), values)),
        relative=draw(st.none() | st.floats(0, 1)),
        slice_rows=draw(st.integers(1, 50)),
        slice_relative=draw(values),
        baseline=draw(st.floats(0.1, 2)),
    )


def improved(evaluation: Any, by: Any) -> Any:
    """The same, each metric better by its step, overall and in each slice."""

    def better(found: Any) -> dict[str, Any]:
        return {name: worse_by(name, value, -by[name]) for name, value in found.items()}

    parts = tuple(replace(part, metrics=better(part.metrics)) for part in evaluation.slices)
    return replace(evaluation, metrics=better(evaluation.metrics), slices=parts)


@given(evaluations, st.none() | evaluations, gates(), metrics)
def test_a_better_candidate_never_fails_where_a_worse_one_passes(
    worse: Any, production: Any, gate: Any, by: Any
) -> None:
    gate = gate.model_copy(update={"slices": tuple(sorted({part.column for part in worse.slices}))})
    better = improved(worse, by)
    for old, new in zip(
        judge_candidate(worse, production, gate).checks, judge_candidate(better, production, gate).checks, strict=True
    ):
        assert new.name == old.name
        assert new.passed or not old.passed


@given(evaluations, gates())
def test_production_against_itself_is_never_worse_than_production(production: Any, gate: Any) -> None:
    columns = tuple(sorted({part.column for part in production.slices}))
    gate = gate.model_copy(update={"slices": columns, "relative": 0.0, "slice_relative": 0.0})
    checks = judge_candidate(production, production, gate).checks
    compared = [check for check in checks if check.name.startswith(("relative", "slice"))]
    assert compared and all(check.passed for check in compared)


@given(evaluations, st.none() | evaluations, gates())
def test_a_verdict_is_its_checks_and_its_json(candidate: Any, production: Any, gate: Any) -> None:
    verdict = judge_candidate(candidate, production, gate)
    assert verdict.passed == all(check.passed for check in verdict.checks) == (not verdict.reasons)
    said = json.loads(verdict.to_json())
    assert [check["name"] for check in said["checks"]] == [check.name for check in verdict.checks]
    assert said["passed"] == verdict.passed
    assert not any("\n" in reason for reason in verdict.reasons)


@pytest.mark.parametrize("metric", METRICS)
@given(st.floats(0.1, 0.9), st.floats(0.001, 0.05))
def test_an_absolute_limit_is_itself_allowed_and_nothing_worse(metric: Any, limit: Any, step: Any) -> None:
    def found(value: Any) -> Any:
        return judge_candidate(
            Evaluation({metric: value}, {metric: value}, {}, ()), None, Gate(metric=metric, absolute={metric: limit})
        ).checks[0]

    assert found(limit).passed
    assert found(worse_by(metric, limit, -step)).passed
    assert not found(worse_by(metric, limit, step)).passed


def test_worse_than_production_by_more_than_the_ratio_is_refused_with_both_numbers() -> None:
    verdict = judge_candidate(an_evaluation({"rmse": 0.72}), an_evaluation({"rmse": 0.7}), Gate(relative=0.02))
    assert not verdict.passed
    assert verdict.reasons == ("rmse is 0.72, wanted at most 0.714 (Production has 0.7, at most 2 % worse is allowed)",)
    assert passes(an_evaluation({"rmse": 0.714}), an_evaluation({"rmse": 0.7}), relative=0.02)
    assert passes(an_evaluation({"rmse": 0.72}), an_evaluation({"rmse": 0.7}), relative=None)


def test_of_an_accuracy_more_is_better() -> None:
    production = an_evaluation({"accuracy": 0.9})
    assert passes(an_evaluation({"accuracy": 0.91}), production, metric="accuracy")
    assert not passes(an_evaluation({"accuracy": 0.89}), production, metric="accuracy")
    assert passes(an_evaluation({"accuracy": 0.89}), production, metric="accuracy", relative=0.02)


def test_a_model_that_is_no_better_than_the_mean_is_refused() -> None:
    assert not passes(an_evaluation({"rmse": 1.01}))
    assert passes(an_evaluation({"rmse": 1.0}))
    assert not passes(an_evaluation({"rmse": 0.95}), baseline=0.9)
    assert not passes(an_evaluation({"accuracy": 0.49}), metric="accuracy")
    assert not passes(an_evaluation({"accuracy": 0.54}), metric="accuracy", baseline=0.9)  # 0.46 of 0.5 is missing


def test_one_slice_that_got_worse_is_enough() -> None:
    production = an_evaluation({"rmse": 0.5}, slices=[a_slice("flat", 50, 0.5), a_slice("house", 50, 0.5)])
    candidate = an_evaluation({"rmse": 0.4}, slices=[a_slice("flat", 50, 0.2), a_slice("house", 50, 0.61)])
    assert passes(candidate, production)
    verdict = judge_candidate(candidate, production, Gate(slices=("kind",)))
    (reason,) = verdict.reasons
    assert reason.startswith("rmse in kind=house is 0.61, wanted at most 0.6 (Production has 0.5, at most 20 % worse")
    small = an_evaluation({"rmse": 0.4}, slices=[a_slice("house", 29, 0.61)])
    assert passes(small, production, slices=("kind",))


def test_a_slice_that_production_lacks_is_held_against_the_baseline() -> None:
    candidate = an_evaluation({"rmse": 0.4}, slices=[a_slice("tent", 50, 1.3)])
    for production in (None, an_evaluation({"rmse": 0.5}, slices=[a_slice("flat", 50, 0.1)])):
        (reason,) = judge_candidate(candidate, production, Gate(slices=("kind",))).reasons
        assert "the baseline has 1," in reason


def test_a_slice_that_cannot_have_the_metric_is_passed_over() -> None:
    part = replace(a_slice("flat", 50, 0.1), metrics={"accuracy": 1.0})
    assert passes(an_evaluation({"rmse": 0.4}, slices=[part]), slices=("kind",))


@pytest.mark.parametrize("value", [NAN, float("inf")])
def test_a_metric_that_is_no_number_fails_every_check(value: Any) -> None:
    verdict = judge_candidate(
        an_evaluation({"rmse": value}), an_evaluation({"rmse": value}), Gate(absolute={"rmse": 9.0})
    )
    assert [check.passed for check in verdict.checks] == [False, False, False]
    assert json.loads(verdict.to_json())["checks"][0]["found"] is None


def test_a_production_model_without_a_finite_metric_stops_nobody() -> None:
    assert passes(an_evaluation({"rmse": 0.5}), an_evaluation({"rmse": NAN}))


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ({"metric": "rsme"}, "'rsme', which is no metric .* did you mean 'rmse'.* known: mae, rmse"),
        ({"absolute": {"f1": 0.5}}, "'f1', which is no metric of this evaluation: known: mae, rmse"),
        ({"slices": ("kinds",)}, "'kinds', which is no slice column .* did you mean 'kind'"),
    ],
)
def test_what_the_evaluation_lacks_is_named_with_what_it_has(
    gate: dict[str, dict[str, float]] | dict[str, str] | dict[str, tuple[Any, ...]], message: str
) -> None:
    evaluation = an_evaluation({"rmse": 0.1, "mae": 0.1}, slices=[a_slice("flat", 50, 0.1)])
    with pytest.raises(SettingsError, match=message) as caught:
        judge_candidate(evaluation, None, Gate(**gate))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ({"metric": "rsme"}, "'gate.metric' names 'rsme', .* did you mean 'rmse'.* known: mae, rmse"),
        ({"metric": "r2"}, "'gate.metric' names 'r2', .* known: mae, rmse"),
        ({"absolute": {"f1": 0.5}}, "'gate.absolute' names 'f1', .* known: mae, r2, rmse"),
    ],
)
def test_a_metric_that_no_evaluation_will_have_is_told_before_the_fit(
    gate: dict[str, dict[str, float]] | dict[str, str], message: str
) -> None:
    assert_known(Gate(absolute={"r2": 0.1}, metric="mae"), ["rmse", "mae", "r2"], ["rmse", "mae"])
    with pytest.raises(SettingsError, match=message):
        assert_known(Gate(**gate), ["rmse", "mae", "r2"], ["rmse", "mae"])


def test_without_a_metric_in_the_settings_a_classifier_is_judged_by_its_log_loss() -> None:
    checks = judge_candidate(an_evaluation({"log_loss": 0.3}, {"log_loss": 0.7}), None, Gate()).checks
    assert [check.name for check in checks] == ["baseline log_loss", "relative log_loss"]
