from typing import Any

import pyarrow as pa
import pytest

from jobs.monitoring.drift.pictures import distribution, effects
from streamscore.statistics.sketches import ColumnSketch, sketch
from tests.support.present import present


def of(values: Any) -> ColumnSketch:
    return present(sketch("a", pa.array(values)))


@pytest.mark.parametrize(
    "values", [[1.0], [1.0, 2.0] * 50, [1e300, 1.0], [5e-324, 0.0], [2**63 - 1, 0], ["x", "y", None]]
)
def test_a_column_is_drawn_with_its_baselines_over_it(values: list[Any]) -> None:
    drawn = distribution(of(values), {"training": of(values), "week": of(values)})
    assert drawn.startswith("<svg") and 'class="training"' in drawn and 'class="week"' in drawn
    assert "nan" not in drawn and "inf" not in drawn


def test_what_cannot_be_drawn_is_left_out() -> None:
    assert distribution(of([1.7e308, -1.7e308]), {}) == ""
    assert distribution(of(pa.nulls(3, pa.float64())), {}) == "" == effects([])
    assert 'class="training"' not in distribution(of([1.0, 2.0]), {"training": of(["x"])})


def test_a_value_is_text_whatever_it_is() -> None:
    evil = "</title><script>alert(1)</script>"
    drawn = distribution(present(sketch(evil, pa.array([evil, "b"]))), {})
    assert "<script" not in drawn and "&lt;/title&gt;&lt;scri" in drawn


def test_windows_that_drifted_stand_out_from_the_others() -> None:
    drawn = effects([(0.01, 0.08, False), (0.2, 0.08, True)])
    assert drawn.count('class="bar"') == drawn.count('class="hot"') == drawn.count('class="floor"') == 1
