"""A small feed, a model for it, and its way into a registry, for the tests of what comes after training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from schemas.feed import Feed
from schemas.registry import Registry, open_registry
from schemas.settings import load_settings
from training.gate import GateCheck, Verdict
from training.model import log_model
from training.register import Candidate, Rows, origin_of
from training.settings import TrainingSettings

HOMES = """
name: homes
csv: {delimiter: ";", null_values: ["n/a"]}
columns:
  - {name: size, type: double, min: 0}
  - {name: rooms, type: int, nullable: true}
  - {name: kind, type: string}
  - {name: lift, type: boolean}
  - {name: id, type: string, role: key}
  - {name: seen at, type: timestamp, role: carry, nullable: true}
  - {name: price, type: double, role: target}
"""
PASSED = Verdict(True, (GateCheck("absolute rmse", 0.1, 0.2, True, "rmse is 0.1, wanted at most 0.2"),))
REJECTED = Verdict(False, (GateCheck("absolute rmse", 0.3, 0.2, False, "rmse is 0.3, wanted at most 0.2"),))


def registry_in(folder: Path) -> Registry:
    return open_registry(load_settings(flags={"registry.tracking_uri": f"sqlite:///{folder}/mlflow.db"}))


def rows(count: int = 20) -> pd.DataFrame:
    """Features of made-up homes; the first has no number of rooms, the third a kind that CSV has to quote."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "size": random.random(count) * 100,
            "rooms": [np.nan, *random.integers(1, 9, count - 1).astype(float)],
            "kind": ["flat", "house", 'a "tiny; house"', "flat"] * (count // 4),
            "lift": [True, False] * (count // 2),
        }
    )


def fitted() -> Pipeline:
    frame = rows()
    numbers = ("numbers", SimpleImputer(), ["size", "rooms"])
    words = ("words", OneHotEncoder(handle_unknown="ignore"), ["kind"])
    rest = ("rest", "passthrough", ["lift"])
    model = Pipeline([("prepare", ColumnTransformer([numbers, words, rest])), ("model", LinearRegression())])
    return model.fit(frame, frame["size"] / 3 + frame["lift"])


def a_candidate(
    feed: Feed, verdict: Verdict = PASSED, log: Callable[[Any], Any] | None = None, **more: Any
) -> Candidate:
    frame, settings = rows(), TrainingSettings()
    values: dict[str, Any] = {
        "origin": origin_of(feed, "homes.csv", "d" * 64, 20, settings),
        "settings": settings,
        "log": log or (lambda mlflow: log_model(feed, fitted(), frame.head(4), mlflow)),
        "inputs": {"training": Rows(frame.head(16), "a" * 64), "evaluation": Rows(frame.tail(4), "b" * 64)},
        "parameters": {"alpha": 0.5},
        "metrics": {"rmse": 0.1},
        "verdict": verdict,
        "artifacts": {"profile.json": '{"rows": 20}'},
    }
    return Candidate(**values | more)
