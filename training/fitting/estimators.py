"""Estimators by the name that the training settings give: a short one, or a dotted one on the allow-list."""

import difflib
import importlib
import inspect
from typing import Any

from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import get_tags

from schemas.errors import SettingsError
from schemas.feed import Feed
from training.settings import Estimator
from training.suits import LABELS, NUMBERS, OF_SERIES, SHORT, class_of, target_of, unfit

OF_TREES = ("sklearn.tree", "sklearn.ensemble")


def is_classifier(feed: Feed, estimator: Estimator) -> bool:
    """Whether the target is a label, not a quantity.

    A string or boolean is a label, a float or double a quantity; a whole number is what the estimator makes of it, and
    a quantity where it could do both.

    Raises:
        SettingsError: no such estimator, or one that cannot predict this target.
        FeedError: the feed has no target, or one that is neither.
    """
    return issubclass(estimator_class(feed, estimator), ClassifierMixin)


def estimator_class(feed: Feed, estimator: Estimator) -> type[BaseEstimator]:
    """The class that `name` stands for, for this feed's target.

    Nothing is imported that the allow-list does not have.

    Raises:
        SettingsError, FeedError: as `is_classifier`.
    """
    target = target_of(feed)
    found = _imported(class_of(feed, estimator.name)) if estimator.name in SHORT else _on_allow_list(estimator)
    if target.type in (LABELS if issubclass(found, RegressorMixin) else NUMBERS):
        raise unfit(feed, target, estimator.name)
    return found


def make_estimator(feed: Feed, estimator: Estimator, seed: int) -> BaseEstimator:
    """The estimator with its parameters, not fitted; random by `seed` unless they say otherwise.

    Raises:
        SettingsError: a parameter that it does not have, with the nearest that it has, or a value that it refuses; a
            classifier without probabilities.
        FeedError: as `is_classifier`.
    """
    found = estimator_class(feed, estimator)
    assert_parameters(found, estimator.parameters, "estimator.parameters")
    seeded = {"random_state": seed} if "random_state" in parameter_names(found) else {}
    try:
        made = found(**{**seeded, **estimator.parameters})
        made._validate_params()  # what scikit-learn does first in `fit`
    except (TypeError, ValueError) as error:
        msg = (
            f"estimator.parameters of {estimator.name}: {' '.join(str(error).split())}; "
            f"correct conf/training/{feed.name}.yaml"
        )
        raise SettingsError(msg) from error
    if isinstance(made, ClassifierMixin) and not hasattr(made, "predict_proba"):
        msg = f"estimator.name '{estimator.name}' gives labels without probabilities, wanted both; choose another"
        raise SettingsError(msg)
    return made


def parameter_names(found: type[BaseEstimator]) -> list[str]:
    """The parameters of an estimator's constructor."""
    return [name for name in inspect.signature(found).parameters if name not in ("args", "kwargs")]


def assert_parameters(found: type[BaseEstimator], names: Any, setting: str) -> None:
    """Refuse a parameter that the estimator does not have.

    Raises:
        SettingsError: names the setting, the parameter, and the nearest that there is.
    """
    known = parameter_names(found)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            raise SettingsError(
                f"{setting}: {found.__name__} has no parameter '{name}'; "
                + (f"did you mean '{near[0]}'?" if near else f"it has {', '.join(known)}")
            )


def takes_nulls(estimator: BaseEstimator) -> bool:
    """Whether it can be given NaN, as trees can; others have them filled in."""
    return bool(get_tags(estimator).input_tags.allow_nan)


def is_of_trees(estimator: BaseEstimator) -> bool:
    """Whether it is made of trees, which do not care for the unit of a feature."""
    return type(estimator).__module__.startswith(OF_TREES)


def _on_allow_list(estimator: Estimator) -> type[BaseEstimator]:
    name = estimator.name
    if name in OF_SERIES:
        msg = f"estimator.name '{name}' is for feeds of kind series; wanted one of {', '.join(SHORT)}"
        raise SettingsError(msg)
    if "." not in name:
        near = difflib.get_close_matches(name, [*SHORT, *OF_SERIES], 1)
        raise SettingsError(
            f"estimator.name '{name}' is unknown; "
            + (f"did you mean '{near[0]}'?" if near else f"wanted one of {', '.join(SHORT)}, or a dotted name")
        )
    if not any(name == allowed or name.startswith(f"{allowed}.") for allowed in estimator.allowed):
        msg = (
            f"estimator.name '{name}' is not on the allow-list ({', '.join(estimator.allowed) or 'empty'}); "
            "if you trust it, add it to estimator.allowed"
        )
        raise SettingsError(msg)
    found = _imported(name)
    if not (isinstance(found, type) and issubclass(found, BaseEstimator) and _predicts(found)):
        msg = f"estimator.name '{name}' is no scikit-learn classifier or regressor with fit and predict; choose another"
        raise SettingsError(msg)
    return found


def _predicts(found: type) -> bool:
    is_one = issubclass(found, ClassifierMixin | RegressorMixin)
    return is_one and all(callable(getattr(found, method, None)) for method in ("fit", "predict"))


def _imported(dotted: str) -> Any:
    module, _, name = dotted.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        msg = f"estimator.name '{dotted}' cannot be imported: {error}; correct it"
        raise SettingsError(msg) from error
