"""Two pictures of a backtest, as SVG: text and lines, the same bytes for the same figures."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from training.series.backtest import NAIVE, Backtest
from training.series.baselines import forecasts_after
from training.series.data import SeriesData

if TYPE_CHECKING:  # it imports mlflow, which takes seconds
    from training.series.forecast_model import Forecaster

SHOWN_BEFORE = 12  # fitted rows
ACTUAL, MODEL, GRID = "#1f2937", "#2563eb", "#e5e7eb"
OTHERS = ("#9ca3af", "#d97706", "#059669", "#be185d", "#7c3aed")


def plot_forecast(data: SeriesData, fitted_rows: int, forecaster: "Forecaster", title: str) -> str:
    """What was held out, and forecasts with bounds, each of `steps` rows from where the one before it ended."""
    values, steps = data.values, forecaster.steps
    figure, axes = _figure(len(values.columns))
    ends = range(fitted_rows, len(values), steps)
    forecasts = forecasts_after(forecaster, data, ends, steps)
    shown = values.iloc[max(0, fitted_rows - SHOWN_BEFORE) :]
    for j, (name, axis) in enumerate(zip(values.columns, axes, strict=True)):
        axis.plot(shown.index, shown[name], color=ACTUAL, linewidth=1.4, label="actual")
        for end, forecast in zip(ends, forecasts[:, :, j], strict=True):
            times = values.index[end : end + steps]
            mean, lower, upper = forecast[: len(times)].T
            first = end == fitted_rows
            bounds = f"{forecaster.coverage:.0%} bounds" if first else None
            axis.fill_between(times, lower, upper, color=MODEL, alpha=0.18, linewidth=0, label=bounds)
            axis.plot(times, mean, color=MODEL, linewidth=1.4, label=title if first else None)
        axis.axvline(values.index[fitted_rows], color=ACTUAL, linewidth=0.8, linestyle=":")
        axis.set_title(str(name), fontsize=10, loc="left")
    axes[0].legend(fontsize=8, framealpha=0.9, edgecolor="none", loc="upper left")
    figure.suptitle(f"{title}: held-out rows, a new forecast every {steps} rows", fontsize=11)
    return _svg(figure)


def plot_errors(backtest: Backtest, model: str) -> str:
    """The rmse of each step over the naive forecast's, a line for each forecaster, a panel for each column."""
    figure, axes = _figure(len(backtest.columns))
    naive = np.array(backtest.of(NAIVE).rmse)
    steps = np.arange(1, len(naive) + 1)
    for j, (name, axis) in enumerate(zip(backtest.columns, axes, strict=True)):
        others = iter(OTHERS * len(backtest.errors))
        for errors in backtest.errors:
            own = errors.name == model
            color = MODEL if own else next(others)
            unit = np.where(naive[:, j] > 0, naive[:, j], np.nan)  # where naive is right, there is no ratio
            ratio = np.array(errors.rmse)[:, j] / unit
            axis.plot(
                steps, ratio, marker="o", markersize=3.5, linewidth=2 if own else 1.2, color=color, label=errors.name
            )
        axis.set_title(str(name), fontsize=10, loc="left")
        axis.set_xticks(steps[:: max(1, len(steps) // 12)])
        axis.set_ylim(bottom=0)
        axis.set_xlabel("steps ahead", fontsize=9)
    axes[0].set_ylabel("rmse / rmse of naive", fontsize=9)
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=8, frameon=False, ncols=5, loc="outside lower center")
    figure.suptitle(f"Errors by step, {len(backtest.origins)} rolling origins", fontsize=11)
    return _svg(figure)


def _figure(panels: int) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 * panels, 3.4), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, panels))
    for axis in axes:
        axis.grid(color=GRID, linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    return figure, axes


def _svg(figure: Any) -> str:
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "streamscore"}):  # else its ids are random
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()
