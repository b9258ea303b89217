"""KServe's forecast protocol, without a server."""

from statistics import NormalDist
from typing import Any, cast

import numpy as np
import pytest

from jobs.serving.models.served_series import Asked, ServedSeries, forecast_ahead
from jobs.serving.requests.problems import RequestError
from jobs.serving.routes.kserve_routes import observations_of, quantile
from tests.support.var_kit import NAMES, in_memory, macrodata, wanted


class Served:
    """A model as the routes see it."""

    model, inputs = in_memory()


SERVED = cast("ServedSeries", Served())
GIVEN: dict[str, Any] = {
    "type": "multivariate_time_series",
    "name": "usa",
    "series": macrodata()[NAMES].to_numpy().tolist(),
    "frequency": "quarter",
    "start_timestamp": "1959-01-01T00:00:00Z",
}


def test_values_without_names_are_the_features_in_their_order() -> None:
    (found,) = forecast_ahead(Asked(observations_of(GIVEN, SERVED), 4), SERVED.model, SERVED.inputs)
    np.testing.assert_allclose(found.values, wanted(macrodata()[NAMES].to_numpy(), 4), rtol=1e-8)
    assert str(found.after) == "2009-07-01"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "univariate_time_series"}, "the model forecasts 3"),
        ({"type": "series"}, "a type of"),
        ({"name": None}, "a name"),
        ({"series": []}, "a series"),
        ({"series": [1.0, 2.0]}, "row 0: found 1 values, wanted 3"),
        ({"series": [[1.0, 2.0, 3.0], [1.0]]}, "row 1: found 1 values"),
        ({"frequency": "month"}, "the model was trained on 3 months"),
        ({"frequency": "fortnight"}, "wanted one of second"),
        ({"frequency": ["Q"]}, "wanted one of second"),
        ({"start_timestamp": None}, "the time of its first observation"),
        ({"start_timestamp": "1959"}, "the time of its first observation"),
        ({"start_timestamp": "9998-01-01"}, "the time of its first observation"),
    ],
)
def test_an_input_that_is_not_understood_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError) as caught:
        observations_of(GIVEN | change, SERVED)
    assert caught.value.status == 400
    assert said in caught.value.detail


def test_quantiles_are_those_of_the_normal_distribution_with_the_bounds() -> None:
    values = wanted(macrodata()[NAMES].to_numpy(), 4)
    np.testing.assert_allclose(quantile(values, 0.025, 0.95), values[..., 1], rtol=1e-9)
    np.testing.assert_allclose(quantile(values, 0.975, 0.95), values[..., 2], rtol=1e-9)
    deviation = (values[..., 2] - values[..., 0]) / NormalDist().inv_cdf(0.975)
    np.testing.assert_allclose(quantile(values, 0.9, 0.95), values[..., 0] + 1.2815515655 * deviation, rtol=1e-9)


def test_bounds_that_say_too_little_have_no_quantiles() -> None:
    values = wanted(macrodata()[NAMES].to_numpy(), 4)
    with pytest.raises(RequestError, match="does not say what its bounds cover"):
        quantile(values, 0.1, None)
    with pytest.raises(RequestError, match="no normal distribution"):
        quantile(values + np.array([0, 0, 1]), 0.1, 0.95)
