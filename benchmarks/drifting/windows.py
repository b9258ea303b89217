"""Real rows as a baseline and as windows beside it: as they are, one column moved, a new category, a burst of nulls."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.sizes import ROOT

SPLITS, ROWS = 5, (100, 300, 1000)
UNSHIFTED, HALF, QUARTER, CATEGORY, NULLS = "unshifted", "+ 0.5 sd", "+ 0.25 sd", "new category, 5 %", "nulls, 5 %"
SHARE = 0.05
HEALTH_ROWS = 8000  # of 20,190: with all of them Evidently takes 4 s a window
WINE = (ROOT / "var" / "data" / "wine_quality.csv", ROOT.parent / "shared" / "data" / "wine-quality-white.csv")


@dataclass(frozen=True, slots=True)
class Rows:
    """A data set.

    Attributes:
        frame: numbers, and text of few values.
        moved: the numbers that are moved, by the decimals that they have: the moved values are rounded to them.
    """

    name: str
    frame: pd.DataFrame
    target: str
    moved: dict[str, int]

    @property
    def texts(self) -> list[str]:
        """The columns of text."""
        return [name for name in self.frame if self.frame[name].dtype == object]


@dataclass(frozen=True, slots=True)
class Window:
    """One window.

    Attributes:
        split: which baseline it is beside.
        column: that was changed; empty: none was.
    """

    kind: str
    rows: int
    split: int
    column: str
    frame: pd.DataFrame


def data_sets() -> list[Rows]:
    """White wine where it is there, and the RAND Health Insurance Experiment, which statsmodels ships."""
    found = []
    if path := next((path for path in WINE if path.is_file()), None):
        wine = pd.read_csv(path)
        numbers = [name for name in wine if name != "quality"]
        wine["grade"] = wine.quality.clip(4, 8).map({4: "poor", 5: "fair", 6: "good", 7: "fine", 8: "best"})
        found.append(Rows("white wine", wine, "quality", {name: _decimals(wine[name]) for name in numbers}))
    import statsmodels.datasets

    health = statsmodels.datasets.randhie.load_pandas().data
    names = {"hlthg": "good", "hlthf": "fair", "hlthp": "poor"}
    health["health"] = health[list(names)].idxmax(axis=1).map(names).where(health[list(names)].any(axis=1), "excellent")
    health["deductible"] = health.idp.map({0.0: "no", 1.0: "yes"})
    frame = health.drop(columns=[*names, "idp"]).sample(HEALTH_ROWS, random_state=0)
    found.append(Rows("health insurance", frame, "mdvis", {"disea": 1, "lpi": 6, "fmde": 6}))
    return found


@dataclass(frozen=True, slots=True)
class Split:
    """The rows in two halves.

    Attributes:
        predict: a regression that was fitted on the first; its answers are a column of both.
    """

    number: int
    before: pd.DataFrame
    rest: pd.DataFrame
    predict: Callable[[pd.DataFrame], np.ndarray]


def splits(rows: Rows, seed: int) -> Iterator[Split]:
    """Halves that are drawn anew for each split."""
    from sklearn.linear_model import LinearRegression

    for number in range(SPLITS):
        order = np.random.default_rng(seed + number).permutation(len(rows.frame))
        before, rest = (rows.frame.iloc[some].reset_index(drop=True) for some in np.array_split(order, 2))
        predict = _Regression(LinearRegression().fit(before[list(rows.moved)], before[rows.target]), list(rows.moved))
        before = before.drop(columns=rows.target)
        yield Split(number, before.assign(prediction=predict(before)), rest.drop(columns=rows.target), predict)


def windows(rows: Rows, split: Split, count: int, seed: int) -> Iterator[Window]:
    """Of each size `count` windows as they are, and for each column that is changed a tenth or a twentieth as many.

    No row is twice in a window; windows share rows.
    """
    random, moved = np.random.default_rng(seed), list(rows.moved)
    kinds = {UNSHIFTED: [""], HALF: moved, QUARTER: moved, CATEGORY: rows.texts, NULLS: moved}
    for size in ROWS:
        for kind, columns in kinds.items():
            of_each = count if kind == UNSHIFTED else max(1, count // (10 if kind in (HALF, QUARTER) else 20))
            for column in [name for name in columns for _ in range(of_each)]:
                frame = split.rest.iloc[random.choice(len(split.rest), size, replace=False)].reset_index(drop=True)
                changed = _changed(rows, split, frame, kind, column, random.random(size) < SHARE)
                yield Window(kind, size, split.number, column, changed.assign(prediction=split.predict(changed)))


def _changed(rows: Rows, split: Split, frame: pd.DataFrame, kind: str, column: str, some: np.ndarray) -> pd.DataFrame:
    if kind in (HALF, QUARTER):
        by = (0.5 if kind == HALF else 0.25) * split.rest[column].std()
        return frame.assign(**{column: (frame[column] + by).round(rows.moved[column])})
    if kind in (CATEGORY, NULLS):
        return frame.assign(**{column: frame[column].mask(some, "never seen" if kind == CATEGORY else np.nan)})
    return frame


class _Regression:
    def __init__(self, model: Any, names: list[str]) -> None:
        self._model, self._names = model, names

    def __call__(self, frame: pd.DataFrame) -> np.ndarray:
        return np.asarray(self._model.predict(frame[self._names].fillna(0)))


def _decimals(values: pd.Series) -> int:
    return max(len(f"{value:g}".partition(".")[2]) for value in values.unique())
