from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from streamscore.statistics.sketches import ColumnSketch, ModelStatistics, merge, sketch
from streamscore.statistics.verdict import Compared, Rejected, cause, compare, holm, is_alarm

RANDOM = np.random.default_rng(5)


def columns(**values: Any) -> list[ColumnSketch]:
    return [made for name, of in values.items() if (made := sketch(name, pa.array(of)))]


def drifted(found: Compared) -> list[tuple[str, str]]:
    return [(test.column, test.check) for test in found.drifted]


def test_p_values_are_adjusted_by_holms_method() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1] and holm([]) == []


def test_the_column_that_moved_is_found_and_named_first() -> None:
    before = {name: RANDOM.normal(size=4000) for name in "abcdefgh"}
    now = {name: RANDOM.normal(0.8 * (name == "d"), size=300) for name in "abcdefgh"}
    found = compare(columns(**before), columns(**now))
    assert drifted(found) == [("d", "values")] and found.tests[0].column == "d"
    assert found.tests[0].distances.wasserstein == pytest.approx(0.8, abs=0.15)
    assert drifted(compare(columns(**before), columns(**{k: v + 0.01 for k, v in before.items()}))) == []


def test_of_many_rows_a_small_effect_is_no_drift() -> None:
    found = compare(columns(a=RANDOM.normal(size=200_000)), columns(a=RANDOM.normal(0.05, size=200_000)))
    assert found.tests[0].p_adjusted < 1e-9 and not found.drifted


def test_nulls_and_values_that_are_new_are_checks_of_their_own() -> None:
    before = columns(n=RANDOM.normal(size=2000), w=RANDOM.choice(["a", "b", "c"], 2000))
    n = np.where(np.arange(200) < 14, np.nan, RANDOM.normal(size=200))
    w = np.where(np.arange(200) < 12, "d", RANDOM.choice(["a", "b", "c"], 200))
    found = compare(before, columns(n=n, w=w))
    assert set(drifted(found)) >= {("n", "missing"), ("w", "unseen")}
    unseen = next(test for test in found.tests if test.check == "unseen")
    assert unseen.share_before == 0 and unseen.share_now == pytest.approx(0.06)


def test_a_13th_category_after_12_is_graded() -> None:
    twelve = [f"c{i}" for i in range(12)]
    before = columns(w=RANDOM.choice(twelve, 3000))
    one_row = columns(w=[*RANDOM.choice(twelve, 199), "new"])
    assert drifted(compare(before, one_row)) == []
    many_rows = columns(w=[*RANDOM.choice(twelve, 180), *["new"] * 20])
    assert ("w", "unseen") in drifted(compare(before, many_rows))


def test_equal_columns_are_alike_whatever_the_number_of_rows() -> None:
    same = compare(columns(w=["a"] * 50), columns(w=["a"] * 10))
    assert [test.p for test in same.tests] == [1.0]
    shares = compare(columns(w=["a", "b", "c"] * 200), columns(w=["a", "b", "c"] * 100))
    assert [test.p for test in shares.tests] == [pytest.approx(1)]


def test_a_column_without_a_value_does_not_stop_the_others() -> None:
    none = pa.nulls(200, pa.float64())
    before = columns(empty=none, a=RANDOM.normal(size=200), gone=RANDOM.normal(size=200), at=pa.array([1], pa.date32()))
    found = compare(before, columns(empty=none, a=RANDOM.normal(size=150), new=[1.0], at=pa.array([9], pa.date32())))
    assert [(test.column, test.check) for test in found.tests] == [("a", "values")]
    assert found.untested == {"empty": "without a value before", "at": "times always move on"}
    assert found.changed == {"new": "new", "gone": "not there any more"}
    filled = compare(before, columns(empty=RANDOM.normal(size=150)))
    assert ("empty", "missing") in drifted(filled)
    assert compare(columns(a=["1"]), columns(a=[1.0])).changed == {"a": "number, text before"}


def test_texts_that_are_nearly_all_different_do_not_drift_by_themselves() -> None:
    words = [f"w{i:04}" for i in range(400)]
    alarms = sum(
        bool(compare(columns(w=RANDOM.choice(words, 3000)), columns(w=RANDOM.choice(words, 600))).drifted)
        for _ in range(40)
    )
    assert alarms <= 1


@pytest.mark.parametrize(
    "values",
    [[1.7e308, -1.7e308], [2**63 - 1, -(2**63)], [1e300, 1.0], [5e-324, 0.0], [1e16, 1e16 + 2], [0.0, -0.0]],
    ids=str,
)
def test_numbers_at_the_ends_of_a_double_are_compared_and_kept_as_json(values: list[float]) -> None:
    before, now = columns(a=values * 100), columns(a=values * 60)
    text = ModelStatistics((merge([*before, *now]), *before), ()).to_json()
    assert ModelStatistics.from_json(text, "v1").features[1] == before[0]
    assert [test.p for test in compare(before, now).tests] == [pytest.approx(1)]


def test_rejected_rows_are_a_check_of_the_window() -> None:
    same = columns(a=np.arange(200.0))
    assert drifted(compare(same, same, Rejected(2000, 10), Rejected(200, 20))) == [("rejected rows", "rejects")]
    assert compare(same, same, Rejected(2000, 0), Rejected(200, 0)).tests[0].column == "a"
    assert len(compare(same, same, None, Rejected(200, 20)).tests) == 1


@pytest.mark.parametrize(
    ("windows", "alarms"),
    [("", False), ("d", False), ("dd", True), ("d.d", True), ("dd.", True), ("d..d", False), ("..d", False)],
)
def test_an_alarm_wants_two_of_three_windows(windows: str, alarms: bool) -> None:
    assert is_alarm([one == "d" for one in windows]) == alarms


def test_a_new_model_is_told_from_new_data() -> None:
    assert cause(features_moved=False, new_version=True) == "new model"
    assert cause(features_moved=True, new_version=True) == "new data"
    assert cause(features_moved=False, new_version=False) == cause(features_moved=None, new_version=True) == "new data"
