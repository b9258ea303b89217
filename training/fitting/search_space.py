"""What parameters a search may choose: the settings' `tuning.space`, or the estimator's own."""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas.errors import SettingsError
from schemas.feed import Feed
from training.fitting.estimators import assert_parameters, estimator_class
from training.settings import Estimator, Tuning

if TYPE_CHECKING:  # takes a second to import
    from optuna import Trial

RANGE_KEYS = ("low", "high", "log", "step")


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones if both ends and the step are."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def draw(self, trial: "Trial", name: str) -> float:
        """One of them."""
        if isinstance(self.low, int) and isinstance(self.high, int) and isinstance(self.step, int | None):
            return trial.suggest_int(name, self.low, self.high, log=self.log, step=self.step or 1)
        return trial.suggest_float(name, self.low, self.high, log=self.log, step=self.step)


@dataclass(frozen=True, slots=True)
class Choices:
    """Some values: text, numbers, booleans or null."""

    values: tuple[Any, ...]

    def draw(self, trial: "Trial", name: str) -> Any:
        """One of them."""
        return trial.suggest_categorical(name, self.values)


Space = dict[str, Range | Choices]

OF_FORESTS: Space = {
    "n_estimators": Range(50, 300, step=50),
    "min_samples_leaf": Range(1, 20, log=True),
    "max_features": Choices(("sqrt", 0.5, 1.0)),
}
OF_HISTOGRAMS: Space = {
    "learning_rate": Range(0.01, 0.3, log=True),
    "max_iter": Range(50, 400, step=50),
    "max_leaf_nodes": Range(7, 127, log=True),
    "min_samples_leaf": Range(5, 100, log=True),
    "l2_regularization": Range(1e-6, 10.0, log=True),
}
OWN: dict[str, Space] = {
    "ElasticNet": {"alpha": Range(1e-4, 1.0, log=True), "l1_ratio": Range(0.0, 1.0)},
    "RandomForestRegressor": OF_FORESTS,
    "RandomForestClassifier": OF_FORESTS,
    "HistGradientBoostingRegressor": OF_HISTOGRAMS,
    "HistGradientBoostingClassifier": OF_HISTOGRAMS,
    "LogisticRegression": {"C": Range(1e-3, 100.0, log=True)},
}


def search_space(feed: Feed, estimator: Estimator, tuning: Tuning) -> Space:
    """Parameter → what it may be.

    Raises:
        SettingsError: names the key: a parameter that the estimator does not have, a range that is none, no choice; or
            the settings leave the space to an estimator that has none of its own.
    """
    found = estimator_class(feed, estimator)
    if not tuning.space:
        if found.__name__ not in OWN:
            msg = (
                f"tuning.space is empty, and {estimator.name} has no space of its own; "
                "give a range or choices per parameter, as {alpha: {low: 0.1, high: 10, log: true}}"
            )
            raise SettingsError(msg)
        return OWN[found.__name__]
    assert_parameters(found, tuning.space, "tuning.space")
    return {name: _part(f"tuning.space.{name}", given) for name, given in tuning.space.items()}


def _part(key: str, given: Mapping[str, Any] | list[Any]) -> Range | Choices:
    if isinstance(given, Mapping):
        return _range(key, given)
    if not given:
        msg = f"{key} is an empty list, wanted choices, or {{low: …, high: …}}"
        raise SettingsError(msg)
    if odd := [value for value in given if not isinstance(value, str | int | float | bool | None)]:
        msg = f"{key} has the choice {odd[0]!r}, wanted text, numbers, booleans or null"
        raise SettingsError(msg)
    return Choices(tuple(given))


def _range(key: str, given: Mapping[str, Any]) -> Range:
    for name in given:
        if name not in RANGE_KEYS:
            near = difflib.get_close_matches(str(name), RANGE_KEYS, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(RANGE_KEYS)}"
            msg = f"{key} has an unknown key '{name}'; {hint}"
            raise SettingsError(msg)
    low, high, log, step = (given.get(name) for name in RANGE_KEYS)
    if not _is_number(low) or not _is_number(high):
        msg = f"{key} is from {low!r} to {high!r}, wanted two numbers, low and high"
        raise SettingsError(msg)
    if low > high:  # type: ignore[operator]  # numbers
        msg = f"{key} is from {low} to {high}, wanted low to be at most high"
        raise SettingsError(msg)
    if not isinstance(log, bool | None) or (step is not None and not (_is_number(step) and step > 0)):
        msg = f"{key}: log {log!r} and step {step!r}, wanted true or false, and a number above 0"
        raise SettingsError(msg)
    if log and (low <= 0 or step is not None):  # type: ignore[operator]
        msg = f"{key} is logarithmic from {low} with step {step}, wanted low above 0 and no step"
        raise SettingsError(msg)
    return Range(low, high, bool(log), step)  # type: ignore[arg-type]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
