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
from schemas.settings import load_settings
from streamscore.registry.model_uri import VersionInfo
from streamscore.registry.registry import Registry, open_registry
from tests.support.new_database import new_database
from training.data.split import split
from training.data.training_data import training_data
from training.evaluation.evaluate import evaluate
from training.evaluation.gate import GateCheck, Verdict
from training.fitting.fit import fit
from training.fitting.log_model import log_model, predictor
from training.registration.register import Candidate, Rows, origin_of, register
from training.settings import Estimator, TrainingSettings

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
    return open_registry(load_settings(flags={"registry.tracking_uri": new_database(folder)}))


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


def a_version(
    feed: Feed, registry: Registry, alpha: float = 0.01, promote: bool = False, path: Path | None = None
) -> VersionInfo:
    """An elastic net as the next version of the feed's model: what gate and check take is left out."""
    data, settings = training_data(feed, path), TrainingSettings()
    parts = split(data, settings.split, feed)
    fitted, held_out = parts.fitted, parts.held_out
    estimator = Estimator(parameters={"alpha": alpha})
    model = fit(feed, fitted.features, fitted.target, estimator, 0)
    found = evaluate(predictor(feed, model), held_out.features, held_out.target, fitted.target, False)
    candidate = a_candidate(
        feed,
        origin=origin_of(feed, data.source, data.digest, data.rows, settings),
        log=lambda mlflow: log_model(feed, model, fitted.features.head(5), mlflow),
        inputs={"training": Rows.of(fitted), "evaluation": Rows.of(held_out)},
        parameters=estimator.parameters,
        metrics=found.flat(),
        artifacts={},
    )
    made = register(feed, candidate, registry)
    if promote:
        registry.promote(made.name, made.version, feed)
    return next(version for version in registry.versions(made.name) if version.version == made.version)
