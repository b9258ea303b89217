from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ContractError
from streamscore.statistics.sketches import QUANTILES, ColumnSketch, ModelStatistics, merge, sketch, sketches
from tests.support.present import present

NUMBERS = st.lists(st.integers(-5, 5).map(float) | st.floats(-1e6, 1e6, width=32), min_size=1, max_size=500)


def of(values: Any, kind: pa.DataType | None = None) -> ColumnSketch:
    return present(sketch("x", pa.array(values, kind)))


def share_below(quantiles: Any, at: Any) -> np.ndarray:
    return np.searchsorted(np.sort(quantiles), at, "right") / len(quantiles)


@settings(deadline=None)
@given(NUMBERS)
def test_the_share_below_any_value_is_known_to_a_quarter_of_a_percent(values: list[float]) -> None:
    found = of(values)
    assert len(found.quantiles) == QUANTILES and set(found.quantiles) <= set(values)
    error = share_below(found.quantiles, values) - share_below(values, values)
    assert np.abs(error).max() <= 1 / (2 * QUANTILES) + 1e-12
    assert (found.min, found.max, found.rows, found.missing) == (min(values), max(values), len(values), 0)


@settings(deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=6))
def test_sketches_of_parts_are_merged_to_that_of_all_rows(parts: list[list[float]]) -> None:
    every = np.concatenate(parts)
    found, whole = merge([of(part) for part in parts]), of(every)
    error = share_below(found.quantiles, every) - share_below(every, every)
    assert np.abs(error).max() <= 2 / (2 * QUANTILES) + 1e-9
    assert (found.rows, found.min, found.max) == (whole.rows, whole.min, whole.max)
    assert (found.mean, found.std) == pytest.approx((whole.mean, whole.std), rel=1e-6, abs=1e-6)


def test_nulls_nan_and_infinity_are_missing() -> None:
    found = of([1.0, None, float("nan"), float("inf"), 3.0])
    assert (found.rows, found.missing, found.known, found.min, found.max, found.mean) == (5, 3, 2, 1.0, 3.0, 2.0)
    nothing = of([None, None], pa.float64())
    assert (nothing.kind, nothing.known, nothing.quantiles, nothing.mean) == ("number", 0, (), None)
    assert merge([nothing, found]).rows == 7 and merge([nothing, nothing]).quantiles == ()


def test_text_is_counted_by_value_and_the_rare_ones_are_others() -> None:
    words = [f"w{i % 150:03}" for i in range(300)] + ["often"] * 7
    found = of([*words, None])
    assert (found.kind, found.missing, len(found.values), found.values[0]) == ("text", 1, 100, ("often", 7))
    assert sum(count for _, count in found.values) + found.other == 307
    assert merge([of(["a", "b", None]), of(["b"])]).values == (("b", 2), ("a", 1))
    assert of([True, False, True]).values == (("true", 2), ("false", 1))
    assert dict(of(["x" * 300, "x" * 299]).values) == {"x" * 200: 2}
    assert of(pa.array(["a", "b", "a"]).dictionary_encode()).values == (("a", 2), ("b", 1))


def test_times_are_seconds_and_structs_are_their_fields() -> None:
    assert of([pd.Timestamp(60, unit="s", tz="UTC"), None], pa.timestamp("us", tz="UTC")).min == 60.0
    assert of([1], pa.date32()).min == 86_400.0
    answers = pa.array([{"label": "a", "probability_a": 0.75, "why": [1]}])
    assert [(s.name, s.kind) for s in sketches("prediction", pa.chunked_array([answers]))] == [
        ("prediction.label", "text"),
        ("prediction.probability_a", "number"),
    ]
    assert sketches("prediction", pa.array([[1.0]])) == []


def test_statistics_survive_as_json_and_a_damaged_or_foreign_text_is_refused() -> None:
    made = ModelStatistics((of([1, 2, None]), of(["é", None])), (of([0.5]),))
    assert ModelStatistics.from_json(made.to_json(), "wine v1") == made
    newer = made.to_json().replace('"rows":', '"entropy": 1, "rows":')
    assert ModelStatistics.from_json(newer, "wine v1") == made
    for text in (made.to_json()[:-9], "[]", "null", made.to_json().replace('"format": 1', '"format": 2')):
        with pytest.raises(ContractError, match=r"statistics\.json of wine v1 cannot be read.*train the version anew"):
            ModelStatistics.from_json(text, "wine v1")


def test_equal_counts_are_in_the_order_of_the_text() -> None:
    counted = Counter("the order of a text is that of its letters".split())
    assert list(of(list(counted)).values) == [(word, 1) for word in sorted(counted)]
