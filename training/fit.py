"""An elastic net whose preparation of features is part of the model: training and serving cannot differ.

Only scikit-learn's own pieces, so that the model loads in any process without our code and without pickle (skops).
Text that holds numbers needs no piece of its own: StandardScaler turns text to numbers, and raises where it is none.
"""

from dataclasses import dataclass

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from schemas.errors import FeedError
from schemas.feed import Feed

MAX_CATEGORIES = 50


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a training run can be told; `alpha` and `l1_ratio` as in scikit-learn, on standardised features."""

    alpha: float = 0.01
    l1_ratio: float = 0.5
    held_out: float = 0.2
    seed: int = 0


def fit(feed: Feed, features: pd.DataFrame, target: pd.Series, parameters: Parameters) -> Pipeline:
    """An elastic net on the feed's features.

    Numbers, booleans and text that is all numbers are standardised, nulls becoming the mean where the feed allows them;
    other text becomes one column per category, at most 50, unknown ones none.

    Raises:
        FeedError: a feature has a type that no number can be made of.
    """
    if times := [c.name for c in feed.features if c.type in ("date", "timestamp")]:
        raise FeedError(
            f"feed {feed.name}: the feature '{times[0]}' is a time, which an elastic net cannot use; "
            f"give it the role 'time' or 'carry' in schemas/{feed.name}.yaml"
        )
    words = [name for name in features if not _is_numeric(features[name])]
    prepare = _numbers(feed)
    if words:
        numbers = [name for name in features if name not in words]
        categories = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES)
        prepare = [
            ("prepare", ColumnTransformer([("numbers", Pipeline(prepare), numbers), ("words", categories, words)]))
        ]
    model = ElasticNet(alpha=parameters.alpha, l1_ratio=parameters.l1_ratio, random_state=parameters.seed)
    return Pipeline([*prepare, ("model", model)]).fit(features, target)


def _numbers(feed: Feed) -> list[tuple[str, StandardScaler | SimpleImputer]]:
    fill = [("fill", SimpleImputer())] if any(column.nullable for column in feed.features) else []
    return [("scale", StandardScaler()), *fill]


def _is_numeric(values: pd.Series) -> bool:
    try:
        values.astype("float64")
    except (ValueError, TypeError):
        return False
    return True
