"""Metrics of answers held against the truth, for any weights of the rows: one definition for point and bootstrap."""

import math
from typing import Any, Protocol

import numpy as np
import pandas as pd

from training.fitting.log_model import probability_column

SMALLEST = float(np.finfo(np.float64).eps)  # of a probability, as scikit-learn's log_loss has it


QUANTITY_METRICS = ("rmse", "mae", "median_absolute_error", "r2")
LABEL_METRICS = ("accuracy", "f1", "log_loss", "roc_auc")


class Judged(Protocol):
    """Answers beside the truth."""

    def metrics(self, weights: np.ndarray) -> dict[str, float]:
        """The metrics with each row counted so often; one that is not defined on these rows is left out."""
        ...


def judged(answer: Any, target: pd.Series, fitted_target: pd.Series, is_classifier: bool) -> Judged:
    """What a model answered; null stands for the baseline's answer: the fitted rows' mean, or frequencies of labels.

    Args:
        answer: numbers; for a classifier labels, or a frame of `label` and a `probability_…` per label it knows.
    """
    if not is_classifier:
        numbers = np.full(len(target), fitted_target.mean()) if answer is None else _column(answer)
        return Quantities(target.to_numpy(np.float64), np.asarray(numbers, np.float64))
    return _labels(answer, target, fitted_target)


def loss_name(is_classifier: bool) -> str:
    """The metric that is made small where there must be one."""
    return "log_loss" if is_classifier else "rmse"


def loss(answer: Any, target: pd.Series, fitted_target: pd.Series, is_classifier: bool) -> float:
    """That metric; arguments as of `judged`."""
    found = judged(answer, target, fitted_target, is_classifier).metrics(np.ones(len(target)))
    return found[loss_name(is_classifier)]


class Quantities:
    """Predicted numbers beside the true ones."""

    def __init__(self, actual: np.ndarray, predicted: np.ndarray) -> None:
        self._off = np.abs(predicted - actual)
        self._squared, self._order = self._off**2, np.argsort(self._off)
        self._centred = actual - actual.mean()  # else the spread is lost where the mean is large
        self._spread = self._centred**2

    def metrics(self, weights: np.ndarray) -> dict[str, float]:
        total = weights.sum()
        squared = float(weights @ self._squared)
        spread = float(weights @ self._spread - (weights @ self._centred) ** 2 / total)
        found = {
            "rmse": math.sqrt(squared / total),
            "mae": float(weights @ self._off / total),
            "median_absolute_error": self._median(weights),
        }
        return found | ({"r2": 1 - squared / spread} if spread > SMALLEST * total else {})

    def _median(self, weights: np.ndarray) -> float:
        reached = np.cumsum(weights[self._order])
        low, high = np.searchsorted(reached, [reached[-1] / 2, np.nextafter(reached[-1] / 2, np.inf)])
        return float((self._off[self._order[low]] + self._off[self._order[high]]) / 2)


class Labels:
    """Predicted labels, and probabilities if there are, beside the true labels; labels are given as their positions."""

    def __init__(self, actual: np.ndarray, predicted: np.ndarray, shares: np.ndarray | None, count: int) -> None:
        self._pairs, self._count = actual * count + predicted, count
        self._right = (actual == predicted).astype(np.float64)
        self._loss = None
        self._ranked: list[_Ranked] = []
        if shares is not None:
            own = np.clip(shares[np.arange(len(actual)), actual], SMALLEST, 1 - SMALLEST)
            self._loss = -np.log(own)
            # two labels: ranked by the second's probability they are as well ranked as by the first's
            self._ranked = [_Ranked(shares[:, i], actual == i) for i in ([1] if count == 2 else range(count))]

    def metrics(self, weights: np.ndarray) -> dict[str, float]:
        total = weights.sum()
        table = np.bincount(self._pairs, weights, self._count**2).reshape(self._count, self._count)
        both = table.sum(0) + table.sum(1)
        found = {
            "accuracy": float(weights @ self._right / total),
            "f1": float(np.mean(2 * np.diag(table)[both > 0] / both[both > 0])),
        }
        if self._loss is not None:
            found["log_loss"] = float(weights @ self._loss / total)
            areas = [ranked.area(weights) for ranked in self._ranked]
            if areas := [area for area in areas if area is not None]:
                found["roc_auc"] = float(np.mean(areas))
        return found


class _Ranked:
    """One label's rows among the others, ranked by its probability; equal probabilities are half right."""

    def __init__(self, share: np.ndarray, is_label: np.ndarray) -> None:
        self._order = np.argsort(share, kind="stable")
        self._hits = is_label[self._order].astype(np.float64)
        self._misses = 1 - self._hits
        self._starts = np.flatnonzero(np.diff(share[self._order], prepend=-1.0))

    def area(self, weights: np.ndarray) -> float | None:
        """Area under the ROC curve; None where all rows are of one kind. Mann and Whitney (1947)."""
        ordered = weights[self._order]
        hits = np.add.reduceat(ordered * self._hits, self._starts)
        misses = np.add.reduceat(ordered * self._misses, self._starts)
        below = np.cumsum(misses) - misses / 2
        pairs = hits.sum() * misses.sum()
        return float(hits @ below / pairs) if pairs else None


def _labels(answer: Any, target: pd.Series, fitted_target: pd.Series) -> Labels:
    seen = sorted(fitted_target.unique())
    labels = pd.Index([*seen, *sorted(set(target.unique()) - set(seen))])
    actual, count = labels.get_indexer(target), len(labels)
    if answer is None:
        frequency = fitted_target.value_counts(normalize=True).reindex(labels, fill_value=0.0).to_numpy()
        predicted = np.full(len(target), int(np.argmax(frequency)))
        return Labels(actual, predicted, np.tile(frequency, (len(target), 1)), count)
    given = _column(answer)
    if unknown := sorted(set(pd.unique(given)) - set(labels)):
        labels = labels.append(pd.Index(unknown))
    return Labels(actual, labels.get_indexer(given), _shares(answer, labels), len(labels))


def _shares(answer: Any, labels: pd.Index) -> np.ndarray | None:
    """Rows × labels; 0 for a label that the model does not know."""
    if not isinstance(answer, pd.DataFrame):
        return None
    columns = [probability_column(label) for label in labels]
    return answer.reindex(columns=columns, fill_value=0.0).to_numpy(np.float64) if set(columns) & set(answer) else None


def _column(answer: Any) -> np.ndarray:
    """Labels or numbers: the column `label` of a frame, else the first, or the answer itself."""
    if isinstance(answer, pd.DataFrame):
        return answer["label" if "label" in answer else answer.columns[0]].to_numpy()
    return np.asarray(answer).reshape(len(answer), -1)[:, 0]
