"""A fitted pipeline: the preparation of features is part of the model, so that training and serving cannot differ.

Only scikit-learn's own pieces, so that the model loads in any process without our code and without pickle (skops).
Text that holds numbers needs no piece of its own: StandardScaler turns text to numbers, and raises where it is none.
"""

import os

import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from schemas.errors import FeedError, SettingsError
from schemas.feed import Feed
from training.fitting.estimators import is_of_trees, make_estimator, takes_nulls
from training.settings import Estimator

MAX_CATEGORIES = 50


def fit(feed: Feed, features: pd.DataFrame, target: pd.Series, estimator: Estimator, seed: int) -> Pipeline:
    """The estimator fitted on the feed's features.

    Numbers, booleans and text that is all numbers become doubles, standardised unless the estimator is made of trees;
    nulls become the mean where the feed allows them and the estimator does not take them. Other text becomes one
    column per category, at most 50, unknown ones none.

    Args:
        features: the feed's, under their original names.
        target: numbers, or labels (text, booleans, whole numbers) for a classifier.
        seed: of what the estimator draws; equal arguments give equal models.

    Raises:
        FeedError: a feature has a type that no number can be made of.
        SettingsError: no such estimator, or a parameter that it refuses.
    """
    made = make_estimator(feed, estimator, seed)
    assert_no_times(feed)
    # A forest is fitted on all cores and answers on one: threads cost a 100-row micro-batch more than they save.
    threaded = is_of_trees(made) and "n_jobs" in made.get_params(deep=False) and "n_jobs" not in estimator.parameters
    pipeline = Pipeline([*_preparation(feed, features, made), ("model", made)])
    try:
        pipeline.set_params(**({"model__n_jobs": os.cpu_count()} if threaded else {})).fit(features, target)
    except (ValueError, TypeError) as error:
        msg = (
            f"{estimator.name} cannot be fitted on feed {feed.name}: {' '.join(str(error).split())[:300]}; "
            "correct estimator.parameters, or choose another estimator"
        )
        raise SettingsError(msg) from error
    return pipeline.set_params(**({"model__n_jobs": None} if threaded else {}))


def assert_no_times(feed: Feed) -> None:
    """Refuse a feature that no number can be made of.

    Raises:
        FeedError: it is a date or a timestamp.
    """
    if times := [c.name for c in feed.features if c.type in ("date", "timestamp")]:
        msg = (
            f"feed {feed.name}: the feature '{times[0]}' is a time, which no estimator can use; "
            f"give it the role 'time' or 'carry' in schemas/{feed.name}.yaml"
        )
        raise FeedError(msg)


def _preparation(feed: Feed, features: pd.DataFrame, made: BaseEstimator) -> list[tuple[str, BaseEstimator]]:
    words = [name for name in features if not _is_numeric(features[name])]
    numbers = _numbers(feed, made)
    if not words:
        return numbers
    # dense: histogram gradient boosting takes nothing else
    categories = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES, sparse_output=False)
    kept = [name for name in features if name not in words]
    return [("prepare", ColumnTransformer([("numbers", Pipeline(numbers), kept), ("words", categories, words)]))]


def _numbers(feed: Feed, made: BaseEstimator) -> list[tuple[str, BaseEstimator]]:
    scale = not is_of_trees(made)
    # with neither it only turns text and booleans into doubles
    steps: list[tuple[str, BaseEstimator]] = [("scale", StandardScaler(with_mean=scale, with_std=scale))]
    if any(column.nullable for column in feed.features) and not takes_nulls(made):
        steps.append(("fill", SimpleImputer()))
    return steps


def _is_numeric(values: pd.Series) -> bool:
    try:
        values.astype("float64")
    except (ValueError, TypeError):
        return False
    return True
