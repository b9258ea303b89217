"""How good a model is on rows it has not seen: overall, per slice, with confidence intervals, beside a baseline.

It is judged by what it answers, so that a pipeline and a registered model are judged alike, on the same rows.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from schemas.errors import SettingsError
from training.evaluation.metrics import Judged, judged
from training.fitting.log_model import Predict

RESAMPLES = 1000
# Above so many rows: an interval is narrow then, and its ends need not be known so well.
MANY_ROWS, FEWER_RESAMPLES = 20_000, 200
COVERAGE = 0.95
QUARTILES = 4
MAX_VALUES = 50  # of a text column; the rest is one slice


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a metric lies with a confidence of 95 %."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Slice:
    """The held-out rows in which `column` has a value, or lies in a quartile: `value` is text, as `(8.7, 9.5]`."""

    column: str
    value: str
    rows: int
    metrics: dict[str, float]
    baseline: dict[str, float]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was found on the held-out rows.

    Attributes:
        metrics: of a quantity: rmse, mae, median_absolute_error in its unit, r2; of a label: accuracy, f1 (macro), and
            where there are probabilities log_loss (nats) and roc_auc (two labels, or one against the rest, averaged).
            One that is not defined on these rows is left out.
        baseline: the same of always answering the fitted rows' mean, or their frequencies of labels.
        intervals: metric → where it lies, by bootstrap.
        slices: by column; those of one column hold each row at most once.
    """

    metrics: dict[str, float]
    baseline: dict[str, float]
    intervals: dict[str, Interval]
    slices: tuple[Slice, ...] = ()

    def flat(self) -> dict[str, float]:
        """Metrics, and the baseline's as `baseline_…`."""
        return self.metrics | {f"baseline_{name}": value for name, value in self.baseline.items()}

    def to_json(self) -> str:
        """All of it; a number that is none is null."""
        return json.dumps(_finite(asdict(self)), indent=2)


def evaluate(
    predict: Predict,
    features: pd.DataFrame,
    target: pd.Series,
    fitted_target: pd.Series,
    is_classifier: bool,
    slices: pd.DataFrame | None = None,
    seed: int = 0,
) -> Evaluation:
    """Judge what a model answers on the held-out rows.

    Args:
        predict: a fitted pipeline's `predictor`, or a loaded MLflow model's `predict`.
        features, target: of the held-out rows.
        fitted_target: the baseline knows nothing else.
        slices: the columns to judge by, of the same rows: numbers in quartiles, anything else by value.
        seed: of the bootstrap.
    """
    answers, truth = judged(predict(features), target, fitted_target, is_classifier), np.ones(len(target))
    baseline = judged(None, target, fitted_target, is_classifier)
    intervals = bootstrap(answers.metrics, len(target), seed)
    parts = tuple(_slices(answers, baseline, slices)) if slices is not None else ()
    return Evaluation(answers.metrics(truth), baseline.metrics(truth), intervals, parts)


def slice_columns(names: Sequence[str], features: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """The columns to judge by, of the features and of what else came with the rows.

    Raises:
        SettingsError: there is no such column.
    """
    for name in names:
        if name not in features and name not in others:
            msg = f"gate.slices: there is no column '{name}'; wanted some of {', '.join([*features, *others])}"
            raise SettingsError(msg)
    return pd.DataFrame({name: features[name] if name in features else others[name] for name in names})


def bootstrap(metrics: Callable[[np.ndarray], dict[str, float]], rows: int, seed: int) -> dict[str, Interval]:
    """95 % percentile intervals: the metrics of 1,000 samples of the rows with replacement, 200 above 20,000 rows.

    A sample is given as how often each row is in it. B. Efron, R. Tibshirani: An Introduction to the Bootstrap (1993),
    chapter 13.
    """
    random = np.random.default_rng(seed)
    found: dict[str, list[float]] = {}
    for _ in range(RESAMPLES if rows <= MANY_ROWS else FEWER_RESAMPLES):
        drawn = np.bincount(random.integers(0, rows, rows, dtype=np.int32), minlength=rows)
        for name, value in metrics(drawn.astype(np.float64)).items():
            found.setdefault(name, []).append(value)
    ends = (1 - COVERAGE) / 2
    return {name: Interval(*map(float, np.quantile(values, [ends, 1 - ends]))) for name, values in found.items()}


def _slices(answers: Judged, baseline: Judged, columns: pd.DataFrame) -> Iterator[Slice]:
    for name in columns:
        values = _groups(columns[name])
        for value in values.cat.categories:
            inside = (values == value).to_numpy().astype(np.float64)
            if rows := int(inside.sum()):
                yield Slice(str(name), str(value), rows, answers.metrics(inside), baseline.metrics(inside))


def _groups(values: pd.Series) -> pd.Series:
    """Numbers of more than four values in quartiles, everything else by value; nulls are a value of their own."""
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > QUARTILES:
        return pd.qcut(values, QUARTILES, duplicates="drop").cat.rename_categories(str).pipe(_with_nulls)
    text = values.astype("string")
    kept = text.value_counts().index[:MAX_VALUES]
    return text.where(text.isin(kept) | text.isna(), "(others)").astype("category").pipe(_with_nulls)


def _with_nulls(values: pd.Series) -> pd.Series:
    return values.cat.add_categories("(null)").fillna("(null)") if values.isna().any() else values


def _finite(found: object) -> object:
    if isinstance(found, dict):
        return {key: _finite(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [_finite(value) for value in found]
    return None if isinstance(found, float) and not math.isfinite(found) else found
