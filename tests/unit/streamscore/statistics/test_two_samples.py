from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, fisher_exact, ks_2samp

from streamscore.statistics.sketches import ColumnSketch, sketch
from streamscore.statistics.two_samples import homogeneity, kolmogorov_smirnov, two_proportions
from tests.support.present import present

SOME = st.lists(st.integers(-3, 3).map(float) | st.floats(-1e3, 1e3, width=32), min_size=2, max_size=300)


def of(values: Any) -> ColumnSketch:
    return present(sketch("x", pa.array(values)))


@settings(deadline=None, max_examples=50)
@given(SOME, SOME)
def test_two_sketches_give_what_all_rows_give_to_half_a_percent(one: list[float], other: list[float]) -> None:
    exact = ks_2samp(one, other, method="asymp").statistic
    found = kolmogorov_smirnov(of(one), of(other))
    assert found.effect == pytest.approx(exact, abs=0.005 + 1e-9)
    assert 0 <= present(found.low) <= found.effect <= present(found.high) <= 1


def test_the_p_of_numbers_is_scipys() -> None:
    rows = np.random.default_rng(0)
    before, now = rows.normal(size=4000), rows.normal(0.2, size=200)  # 200 rows: the sketch has all of them
    found, wanted = kolmogorov_smirnov(of(before), of(now)), ks_2samp(before, now, method="asymp")
    assert found.p == pytest.approx(wanted.pvalue, rel=0.3)


def test_a_constant_that_stays_is_no_drift_and_one_that_changes_is() -> None:
    assert kolmogorov_smirnov(of([7.0] * 50), of([7.0] * 10)).p == 1
    changed = kolmogorov_smirnov(of([7.0] * 50), of([7.5] * 100))
    assert changed.effect == 1 and changed.p < 1e-9


def test_values_are_compared_by_chi_square() -> None:
    found = homogeneity({"a": 600, "b": 300, "c": 100}, {"a": 50, "b": 40, "c": 10})
    assert found.method == "chi2"
    assert found.p == pytest.approx(chi2_contingency([[600, 300, 100], [50, 40, 10]], correction=False).pvalue)
    assert homogeneity({"a": 600}, {"a": 300}).p == 1
    assert homogeneity({"a": 400, "b": 200, "c": 99}, {"a": 200, "b": 100, "c": 49}).p > 0.99


def test_of_two_classes_the_test_is_exact() -> None:
    found = homogeneity({"true": 20, "false": 1980}, {"true": 30, "false": 70})
    assert found.method == "exact"
    assert found.p == pytest.approx(fisher_exact([[20, 1980], [30, 70]]).pvalue)


@pytest.mark.parametrize("rows", [4_000, 40_000])
def test_the_effect_of_values_does_not_depend_on_how_many_rows_are_beside_them(rows: int) -> None:
    half, now = {"a": rows // 2, "b": rows // 2}, {"a": 80, "b": 20}
    assert homogeneity(half, now).effect == pytest.approx(0.3145, abs=1e-4)
    assert homogeneity(half, {"a": 50, "b": 50}).effect == 0


def test_small_classes_are_taken_together_and_still_seen() -> None:
    before = {"a": 1000, "b": 970} | {f"rare {i}": 1 for i in range(30)}
    assert homogeneity(before, {"a": 51, "b": 49}).p > 0.5
    assert homogeneity(before, {"a": 40, "b": 40, "rare 1": 20}).p < 1e-6
    many = {f"{i}": 80 for i in range(50)}  # of 100 rows each has 2 expected
    assert homogeneity(many, {f"{i}": 2 for i in range(50)}).p > 0.9
    assert homogeneity(many, {f"{i}": 1 for i in range(50)} | {"7": 51}).p < 1e-6
    assert homogeneity({f"{i}": 1 for i in range(9)}, {"1": 2}).p == 1  # nothing that could be held against anything


def test_shares_are_compared_exactly_with_the_interval_of_the_change() -> None:
    found = two_proportions(56, 70, 48, 80)  # R. G. Newcombe 1998, example (a): 0.2, 0.0524 to 0.3339
    assert found.effect == pytest.approx(0.2)
    assert [-present(found.high), -present(found.low)] == pytest.approx([0.0524, 0.3339], abs=1e-4)
    assert two_proportions(0, 1000, 0, 100).p == 1
    assert two_proportions(0, 1000, 5, 100).p < 1e-4
