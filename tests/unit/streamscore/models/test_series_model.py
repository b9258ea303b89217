"""What a series model answers, as an array of forecasts."""

import numpy as np
import pyarrow as pa

from schemas.feed import FORECAST
from schemas.signature import SeriesContract
from streamscore.models.series_model import SeriesModel
from streamscore.registry.model_version import ModelVersion


def test_a_masked_forecast_is_none() -> None:
    answer = np.ma.masked_array(np.ones((2, 1, 1, 3)), mask=np.zeros((2, 1, 1, 3), bool))
    answer[1, 0, 0, 0] = np.ma.masked
    contract, identity = SeriesContract(1, ("a",)), ModelVersion("m", "1", "r")
    output = pa.struct([(f"a_{what}", pa.float64()) for what in FORECAST])
    model = SeriesModel(identity, "", contract, output, lambda *_: answer, np.array([0]))
    found = model.forecast(np.ones((2, 1, 1)), 1)
    assert np.isnan(found).sum() == 1
    assert np.isnan(found[1, 0, 0, 0])
