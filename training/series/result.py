"""What a training run of a series finds, as a value."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from training.series.backtest import Backtest
from training.series.data import SeriesData
from training.series.fit import Fit
from training.series.order import LagOrder
from training.series.stationarity import ColumnTest
from training.series.whiteness import Whiteness
from training.settings import ANY

if TYPE_CHECKING:  # it imports mlflow, which takes seconds
    from training.series.forecast_model import Forecaster


@dataclass(frozen=True, slots=True)
class SeriesResult:
    """A fitted forecaster and what was found on the way.

    Attributes:
        data: all rows, held-out ones included.
        fitted_rows: the first ones, of which every test and coefficient is.
        metrics: on the held-out rows, as `Backtest.metrics`, and `bounds_coverage`, the share of values in the bounds.
        warnings: a sentence each, for the report.
        plots: name → SVG.
    """

    data: SeriesData
    fitted_rows: int
    stationarity: tuple[ColumnTest, ...]
    order: LagOrder
    fit: Fit
    whiteness: Whiteness
    forecaster: "Forecaster"
    backtest: Backtest
    metrics: dict[str, float]
    warnings: tuple[str, ...]
    plots: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """For the report: all but the coefficients and the plots."""
        return {
            "model": self.fit.title,
            "fit_seconds": self.fit.seconds,
            "converged": self.fit.converged,
            "rows": self.data.rows,
            "fitted_rows": self.fitted_rows,
            "frequency": str(self.data.frequency or ANY),
            "stationarity": [asdict(test) for test in self.stationarity],
            "order": asdict(self.order),
            "whiteness": asdict(self.whiteness),
            "backtest": self.backtest.to_json(),
            "metrics": self.metrics,
            "warnings": list(self.warnings),
        }
