"""What an evaluation shows: residuals, or calibration and confusion; the learning curve; the features that count.

Each is an SVG text that begins with `<svg`, so that it can stand in a page as it is.
"""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.pipeline import Pipeline

from schemas.feed import Feed
from training.evaluation.metrics import loss, loss_name
from training.fitting.estimators import is_classifier
from training.fitting.fit import fit
from training.fitting.log_model import labels_of, predictor
from training.settings import Estimator

if TYPE_CHECKING:  # takes a second to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACCENT, GREY, PALE = "#1f6f8b", "#8a8a8a", "#d9d9d9"
POINTS = 3000  # of a scatter plot
CURVE_ROWS, CURVE_SIZES, CURVE_FOLDS, CURVE_SECONDS = 20_000, (0.1, 0.25, 0.5, 0.75, 1.0), 3, 60.0
IMPORTANCE_ROWS, IMPORTANCE_REPEATS = 2000, 5
BINS, MIN_IN_BIN = 10, 10  # of the calibration; fewer rows in a bin say nothing
MAX_LABELS = 20  # in the table of confusion


@dataclass(frozen=True, slots=True)
class Parts:
    """The rows fitted on and those held out, features and target of each."""

    features: pd.DataFrame
    target: pd.Series
    held_out_features: pd.DataFrame
    held_out_target: pd.Series


def draw(feed: Feed, model: Pipeline, estimator: Estimator, parts: Parts, seed: int) -> dict[str, str]:
    """Name → SVG: `learning_curve`, `importance`; of a quantity `residuals`, of a label `calibration` and `confusion`.

    The learning curve is fitted on at most 20,000 rows, and no further size is begun after 60 s.
    """
    labels, target = is_classifier(feed, estimator), parts.held_out_target
    answer = predictor(feed, model)(parts.held_out_features)
    curve = learning_curve(feed, estimator, parts.features, parts.target, seed)
    weights = importance(feed, model, estimator, parts.held_out_features, target, seed)
    named = {"rmse": "root mean squared error", "log_loss": "log loss (nats)"}[loss_name(labels)]
    painters: dict[str, Callable[[Figure], None]] = {
        "learning_curve": lambda figure: _curve(figure, curve, named),
        "importance": lambda figure: _importance(figure, weights, named),
    }
    if labels:
        painters["calibration"] = lambda figure: _calibration(figure, answer, target)
        painters["confusion"] = lambda figure: _confusion(figure, labels_of(model), answer, target)
    else:
        painters["residuals"] = lambda figure: _residuals(figure, answer, target, seed)
    return {name: _picture(name, paint) for name, paint in sorted(painters.items())}


def learning_curve(
    feed: Feed, estimator: Estimator, features: pd.DataFrame, target: pd.Series, seed: int
) -> pd.DataFrame:
    """The loss by number of rows fitted on: columns rows, fitted, unseen; means over 3 random cuts."""
    random, end = np.random.default_rng(seed), time.monotonic() + CURVE_SECONDS
    labels, rows = is_classifier(feed, estimator), min(len(target), CURVE_ROWS)
    cuts = [np.split(random.permutation(len(target))[:rows], [rows // 5]) for _ in range(CURVE_FOLDS)]
    found: list[tuple[float, ...]] = []
    for size in CURVE_SIZES:
        if found and time.monotonic() > end:
            break
        losses = []
        for rest, all_known in cuts:
            known = all_known[: max(2, int(size * len(all_known)))]
            truth = target.iloc[known]
            if labels and truth.nunique() < 2:
                continue
            predict = predictor(feed, fit(feed, features.iloc[known], truth, estimator, seed))
            losses.append([loss(predict(features.iloc[at]), target.iloc[at], truth, labels) for at in (known, rest)])
        if losses:
            found.append((len(known), *np.mean(losses, axis=0)))
    return pd.DataFrame(found, columns=["rows", "fitted", "unseen"])


def importance(
    feed: Feed, model: Pipeline, estimator: Estimator, features: pd.DataFrame, target: pd.Series, seed: int
) -> pd.Series:
    """Feature → by how much the loss grows when its values are shuffled, the largest first; on at most 2,000 rows.

    L. Breiman: Random Forests, Machine Learning 45 (2001), section 10.
    """
    chosen = np.random.default_rng(seed).permutation(len(target))[:IMPORTANCE_ROWS]
    some, truth = features.iloc[chosen], target.iloc[chosen]
    predict, labels = predictor(feed, model), is_classifier(feed, estimator)

    def score(_: Pipeline, rows: pd.DataFrame, actual: pd.Series) -> float:
        return -loss(predict(rows), actual, target, labels)

    found = permutation_importance(model, some, truth, scoring=score, n_repeats=IMPORTANCE_REPEATS, random_state=seed)
    return pd.Series(found.importances_mean, index=list(features)).sort_values(ascending=False)


def _residuals(figure: "Figure", predicted: np.ndarray, target: pd.Series, seed: int) -> None:
    off = predicted - target.to_numpy(np.float64)
    some = np.random.default_rng(seed).permutation(len(off))[:POINTS]
    left, right = figure.subplots(1, 2, width_ratios=[2, 1], sharey=True)
    left.axhline(0, color=GREY, linewidth=1)
    left.scatter(predicted[some], off[some], s=8, alpha=0.35, color=ACCENT, linewidths=0)
    left.set(xlabel=f"predicted {target.name}", ylabel=f"predicted minus true {target.name}")
    right.axhline(0, color=GREY, linewidth=1)
    right.hist(off, bins=40, orientation="horizontal", color=ACCENT)
    right.set(xlabel="held-out rows")


def _calibration(figure: "Figure", answer: pd.DataFrame, target: pd.Series) -> None:
    """Of each prediction the probability of its own label, against how often the label was right."""
    shares = answer.drop(columns="label").to_numpy().max(axis=1)
    right = (answer["label"].to_numpy() == target.to_numpy()).astype(float)
    bins = np.minimum((shares * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    kept = counts >= MIN_IN_BIN
    above, below = figure.subplots(2, 1, height_ratios=[3, 1], sharex=True)
    above.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="as said")
    mean_share = np.bincount(bins, shares, BINS)[kept] / counts[kept]
    above.plot(mean_share, np.bincount(bins, right, BINS)[kept] / counts[kept], "o-", color=ACCENT, label="the model")
    above.set(ylabel="share that was right", xlim=(0, 1), ylim=(0, 1.02))
    above.legend(frameon=False, loc="upper left")
    below.bar((np.arange(BINS) + 0.5) / BINS, counts, width=0.9 / BINS, color=ACCENT)
    below.set(xlabel=f"probability given to the predicted {target.name}", ylabel="held-out rows")


def _confusion(figure: "Figure", labels: list[Any], answer: pd.DataFrame, target: pd.Series) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    shown = labels[:MAX_LABELS]
    table = pd.crosstab(target.to_numpy(), answer["label"].to_numpy()).reindex(index=shown, columns=shown, fill_value=0)
    counts = table.to_numpy()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes: Axes = figure.subplots()
    axes.imshow(shares, cmap=LinearSegmentedColormap.from_list("accent", ["white", ACCENT]), vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if shares[row, column] > 0.85 else "black"
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=color, fontsize=9)
    names = [str(label) for label in shown]
    axes.set_xticks(range(len(shown)), names, rotation=45 if max(map(len, names)) > 6 else 0)
    axes.set_yticks(range(len(shown)), names)
    axes.set(xlabel=f"predicted {target.name}", ylabel=f"true {target.name}")
    axes.spines[:].set_visible(False)


def _curve(figure: "Figure", curve: pd.DataFrame, loss: str) -> None:
    axes = figure.subplots()
    axes.plot(curve["rows"], curve["unseen"], "o-", color=ACCENT, label="rows not seen")
    axes.plot(curve["rows"], curve["fitted"], "o--", color=GREY, label="rows fitted on")
    axes.set(xlabel="rows fitted on", ylabel=loss)
    axes.margins(y=0.25)
    axes.legend(frameon=False)


def _importance(figure: "Figure", weights: pd.Series, loss: str) -> None:
    shown = weights.head(MAX_LABELS)[::-1]
    axes: Axes = figure.subplots()
    axes.barh([str(name) for name in shown.index], shown, color=ACCENT)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.set(xlabel=f"growth of the {loss} when the feature is shuffled")


def _picture(name: str, paint: Callable[["Figure"], None]) -> str:
    """An SVG of 7.2 × 4 inches, the same for the same figure; its text stays text."""
    import matplotlib
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,  # else two pictures on one page share ids
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": GREY,
        "axes.labelcolor": "#333333",
    }
    with matplotlib.rc_context(style):
        figure, text = Figure(figsize=(7.2, 4.0), layout="constrained"), io.StringIO()
        paint(figure)
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return text.getvalue()[text.getvalue().index("<svg") :]
