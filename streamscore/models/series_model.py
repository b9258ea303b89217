"""A version of a series model, downloaded, held against the feed and warmed up: ready to forecast."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.errors import ContractError
from schemas.feed import FORECAST, Feed
from schemas.signature import SeriesContract, assert_contract, series_contract
from schemas.tables import forecast_type
from streamscore.models.answers import AnswerError
from streamscore.models.example import probe_value
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.pyfunc import load_pyfunc

Floats = npt.NDArray[np.float64]


class ForecastShapeError(AnswerError):
    """The model gave an array of another shape than was asked for."""


@dataclass(frozen=True)
class SeriesModel:
    """What forecasts the series of a micro-batch.

    Attributes:
        identity: the version, as it is written beside each forecast.
        path: the folder of the model's files.
        contract: what it forecasts from, and what it was trained on.
        output: a struct of what it gives for a step.
    """

    identity: ModelVersion
    path: str
    contract: SeriesContract
    output: pa.DataType
    _forecast: Callable[..., Any]
    _order: npt.NDArray[np.int64]  # for each column of the model's windows, which of the feed's features it is
    memory: Callable[[], int] = lambda: 0  # measures the bytes that it takes
    _regressors: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))  # of a window's columns

    @property
    def name(self) -> str:
        return self.identity.name

    @property
    def version(self) -> str:
        return self.identity.version

    @property
    def window_rows(self) -> int:
        """Consecutive observations that it forecasts from."""
        return self.contract.window_rows

    @property
    def forecasts(self) -> npt.NDArray[np.bool_]:
        """Which of the feed's features it forecasts."""
        found = np.zeros(self._features, np.bool_)
        found[self._order] = True
        return found

    @property
    def _features(self) -> int:
        return int(self.output.num_fields) // len(FORECAST)

    def forecast(self, windows: Floats, steps: int, exogenous: Floats | None = None) -> Floats:
        """The next steps after each window.

        Args:
            windows: shape (windows, `window_rows`, columns of `feed.observed`), oldest observation first.
            exogenous: of the steps, shape (windows, steps, columns of `feed.exogenous`); None: as they were last.

        Returns:
            Shape (windows, steps, features, 3): forecast, lower and upper bound; NaN of features that it does not
            forecast.

        Raises:
            ForecastShapeError: the model gave another shape.
            Exception: whatever the model raises.
        """
        given = [np.ascontiguousarray(windows[:, :, self._order]), steps]
        if len(self._regressors):
            known = windows[:, :, self._regressors]
            if exogenous is None:
                ahead = np.repeat(known[:, -1:], steps, axis=1)
            else:
                ahead = exogenous[:, :, self._regressors - self._features]
            given.append(np.concatenate([known, ahead], axis=1))
        answer = np.asarray(np.ma.filled(self._forecast(*given), np.nan), np.float64)  # masked: no forecast
        wanted = (len(windows), steps, len(self._order), len(FORECAST))
        if answer.shape != wanted:
            msg = f"forecasts of shape {answer.shape}, wanted {wanted}"
            raise ForecastShapeError(msg)
        found = np.full((len(windows), steps, self._features, len(FORECAST)), np.nan)
        found[:, :, self._order] = answer
        return found


def load_series_model(path: Path, feed: Feed, identity: ModelVersion) -> SeriesModel:
    """Load a downloaded version, hold it against the feed, and forecast one made-up window with it.

    Raises:
        ContractError: it is no series model, is one of other columns, or cannot forecast.
        Exception: whatever loading raises.
    """
    title = identity.title
    pyfunc = load_pyfunc(path)
    metadata = pyfunc.metadata.metadata
    assert_contract(feed, pyfunc.metadata.signature, title, metadata)
    wanted = series_contract(feed, metadata, title)
    if pyfunc.forecast_windows is None:
        msg = (
            f"model {title} has no method forecast_windows, wanted one that gives forecasts for windows of shape "
            f"(windows, {wanted.window_rows}, {len(wanted.endogenous)}); log it with one"
        )
        raise ContractError(msg)
    observed = [column.name for column in feed.observed]
    order, regressors = (
        np.array([observed.index(name) for name in names], np.int64) for names in (wanted.endogenous, wanted.exogenous)
    )
    model = SeriesModel(
        identity, str(path), wanted, forecast_type(feed), pyfunc.forecast_windows, order, pyfunc.memory, regressors
    )
    _warm_up(model, feed)
    return model


def _warm_up(model: SeriesModel, feed: Feed) -> None:
    row = np.array([probe_value(column) for column in feed.observed], np.float64)
    try:
        model.forecast(np.tile(row, (1, model.window_rows, 1)), feed.series.steps)
    except Exception as error:
        for_feed = f" for feed {feed.name}" if feed.name else ""
        msg = (
            f"model {model.identity.title} cannot forecast {feed.series.steps} steps{for_feed}: "
            f"{type(error).__name__}: {str(error).partition(chr(10))[0]}; try it: "
            f"{model.identity.try_it}"
        )
        raise ContractError(msg) from error
