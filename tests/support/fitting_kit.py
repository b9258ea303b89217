"""Feeds that predict what a home is worth, and estimators that are fitted fast, for the tests of fitting."""

from typing import Any

from schemas.feed import Feed
from training.settings import Estimator

COLUMNS: list[dict[str, Any]] = [
    {"name": "size", "type": "double"},
    {"name": "rooms", "type": "int", "nullable": True},
    {"name": "the kind", "type": "string"},
    {"name": "year", "type": "string"},
    {"name": "lift", "type": "boolean"},
]


def feed_with(target: str | None, *names: str) -> Feed:
    """A feed with a target of that type, if any; of these columns alone, if any are named."""
    columns = [column for column in COLUMNS if column["name"] in names or not names]
    if target:
        columns.append({"name": "worth", "type": target, "role": "target"})
    return Feed.model_validate({"name": "homes", "columns": columns})


def few(name: str) -> Estimator:
    """With few trees, if any."""
    size = {"random_forest": "n_estimators", "hist_gradient_boosting": "max_iter"}
    return Estimator(name=name, parameters={size[name]: 10} if name in size else {})
