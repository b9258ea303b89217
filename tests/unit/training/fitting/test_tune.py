"""The search for parameters, its budgets, and a study that was cut short."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from schemas.errors import FeedError, SettingsError, StorageError
from schemas.feed import Feed
from training.fitting.search_space import search_space
from training.fitting.tune import study_file, tune
from training.settings import Estimator, Tuning

pytestmark = pytest.mark.trains

COLUMNS = [{"name": name, "type": "double"} for name in ("a", "b", "c")]
NET = Estimator(name="elastic_net", parameters={"max_iter": 500})


def feed_with(target: str) -> Feed:
    return Feed.model_validate({"name": "made", "columns": [*COLUMNS, {"name": "y", "type": target, "role": "target"}]})


@pytest.fixture(scope="module")
def features() -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(0).normal(size=(120, 3)), columns=list("abc"))


@pytest.fixture(scope="module")
def target(features: pd.DataFrame) -> pd.Series:
    return (features["a"] + np.random.default_rng(1).normal(size=len(features))).rename("y")


@pytest.fixture(scope="module")
def found(features: pd.DataFrame, target: pd.Series) -> Any:
    return tune(feed_with("double"), features, target, NET, Tuning(trials=12, folds=3), seed=1)


def test_the_parameters_found_come_over_those_given(found: Any) -> None:
    assert found.parameters["max_iter"] == 500
    assert 1e-4 <= found.parameters["alpha"] <= 1
    assert (found.metric, found.trials, found.resumed) == ("rmse", 12, 0)


def test_equal_seeds_find_the_same_and_bad_trials_are_given_up(
    found: Any, features: pd.DataFrame, target: pd.Series
) -> None:
    feed, tuning = feed_with("double"), Tuning(trials=12, folds=3)
    assert tune(feed, features, target, NET, tuning, seed=1) == found
    assert tune(feed, features, target, NET, tuning, seed=2).parameters != found.parameters
    assert 0 < found.pruned < 12


def test_the_value_is_what_cross_validation_gives(found: Any, features: pd.DataFrame, target: pd.Series) -> None:
    from sklearn.model_selection import KFold

    from training.fitting.fit import fit

    losses = []
    for known, rest in KFold(3, shuffle=True, random_state=1).split(features):
        chosen = NET.model_copy(update={"parameters": found.parameters})
        model = fit(feed_with("double"), features.iloc[known], target.iloc[known], chosen, seed=1)
        losses.append(np.sqrt(np.mean((model.predict(features.iloc[rest]) - target.iloc[rest]) ** 2)))
    assert found.value == pytest.approx(np.mean(losses), rel=1e-12)


def test_an_interrupted_study_ends_as_if_it_had_not_been(
    found: Any, features: pd.DataFrame, target: pd.Series, tmp_path: Path
) -> None:
    def interrupt(done: int, total: int, best: float | None) -> None:
        if done == 5:
            raise KeyboardInterrupt

    feed, tuning, path = feed_with("double"), Tuning(trials=12, folds=3), tmp_path / "studies" / "made.db"
    with pytest.raises(KeyboardInterrupt):
        tune(feed, features, target, NET, tuning, 1, path, interrupt)
    seen: list[int] = []
    resumed = tune(feed, features, target, NET, tuning, 1, path, lambda done, total, best: seen.append(done))
    assert resumed == replace(found, resumed=5)
    assert seen == [5, 6, 7, 8, 9, 10, 11, 12]
    again = tune(feed, features, target, NET, tuning, 1, path)
    assert again == replace(found, resumed=12)


KILLED = """
import os, signal, sys, pickle
from pathlib import Path
import training.fitting.tune as tuning_step
from training.settings import Estimator, Tuning
feed, features, target, folder = pickle.load(sys.stdin.buffer)
calls, loss = [], tuning_step._Cross.loss
def dying(self, *given):  # in the second fold of the fourth trial
    calls.append(1)
    if len(calls) == 11:
        os.kill(os.getpid(), signal.SIGKILL)
    return loss(self, *given)
tuning_step._Cross.loss = dying
estimator = Estimator(name="elastic_net", parameters={"max_iter": 500})
tuning_step.tune(feed, features, target, estimator, Tuning(trials=12, folds=3), 1, Path(folder, "made.db"))
"""


def test_a_study_that_was_killed_in_the_middle_of_a_trial_goes_on(
    found: Any, features: pd.DataFrame, target: pd.Series, tmp_path: Path
) -> None:
    import pickle

    feed = feed_with("double")
    sent = pickle.dumps((feed, features, target, str(tmp_path)))
    where = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    done = subprocess.run([sys.executable, "-c", KILLED], input=sent, env=where, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    tuning = Tuning(trials=12, folds=3)
    assert tune(feed, features, target, NET, tuning, 1, tmp_path / "made.db") == replace(found, resumed=3)


def test_when_time_is_over_the_search_ends_with_at_least_one_trial(features: pd.DataFrame, target: pd.Series) -> None:
    found = tune(feed_with("double"), features, target, NET, Tuning(trials=1000, seconds=1e-9, folds=2), seed=0)
    assert found.trials == 1


def test_labels_are_tuned_by_their_log_loss(features: pd.DataFrame, target: pd.Series) -> None:
    labels = pd.Series(np.where(target > 0, "up", "down"))
    logistic = Estimator(name="logistic_regression")
    found = tune(feed_with("string"), features, labels, logistic, Tuning(trials=2, folds=2), seed=0)
    assert found.metric == "log_loss"
    assert 0 < found.value < np.log(2)


def test_the_space_of_the_settings_takes_the_place_of_the_estimators(features: pd.DataFrame, target: pd.Series) -> None:
    tuning = Tuning(trials=3, folds=2, space={"alpha": [0.5], "max_iter": {"low": 100, "high": 300, "step": 100}})
    found = tune(feed_with("double"), features, target, NET, tuning, seed=0)
    assert found.parameters["alpha"] == 0.5
    assert found.parameters["max_iter"] in (100, 200, 300)
    assert set(found.parameters) == {"alpha", "max_iter"}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"alhpa": [1]}, "tuning.space: ElasticNet has no parameter 'alhpa'; did you mean 'alpha'"),
        ({"alpha": []}, "tuning.space.alpha is an empty list"),
        ({"alpha": [[1]]}, r"tuning.space.alpha has the choice \[1\]"),
        ({"alpha": {"low": 1, "hihg": 2}}, "tuning.space.alpha has an unknown key 'hihg'; did you mean 'high'"),
        ({"alpha": {"low": 1}}, "tuning.space.alpha is from 1 to None"),
        ({"alpha": {"low": 2, "high": 1}}, "wanted low to be at most high"),
        ({"alpha": {"low": 0, "high": 1, "log": True}}, "tuning.space.alpha is logarithmic from 0"),
        ({"alpha": {"low": 1, "high": 2, "step": 0}}, "step 0, wanted true or false, and a number above 0"),
    ],
)
def test_a_search_space_that_is_none_is_refused(space: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        search_space(feed_with("double"), NET, Tuning(trials=1, space=space))


def test_an_estimator_without_a_space_of_its_own_wants_one() -> None:
    with pytest.raises(SettingsError, match=r"tuning.space is empty, and sklearn.linear_model.Ridge has no space"):
        search_space(feed_with("double"), Estimator(name="sklearn.linear_model.Ridge"), Tuning(trials=1))


def test_a_choice_that_the_estimator_refuses_is_told(features: pd.DataFrame, target: pd.Series) -> None:
    tuning = Tuning(trials=1, space={"selection": ["sideways"]})
    with pytest.raises(SettingsError, match="'selection' parameter of ElasticNet must be"):
        tune(feed_with("double"), features, target, NET, tuning, seed=0)


def test_fewer_rows_of_a_label_than_folds_are_refused(features: pd.DataFrame) -> None:
    labels = pd.Series(["rare", "rare"] + ["often"] * (len(features) - 2))
    with pytest.raises(FeedError, match=r"a label in 2 rows to fit on, .* tuning\.folds 3"):
        tune(feed_with("string"), features, labels, Estimator(name="random_forest"), Tuning(trials=1, folds=3), 0)


def test_a_file_that_is_no_study_is_refused(features: pd.DataFrame, target: pd.Series, tmp_path: Path) -> None:
    (tmp_path / "made.db").write_text("a text, and no database" * 10)
    with pytest.raises(StorageError, match=r"made\.db cannot be used: .*remove it to start anew"):
        tune(feed_with("double"), features, target, NET, Tuning(trials=1), 0, tmp_path / "made.db")


def test_a_study_is_of_its_data_and_settings_and_a_larger_budget_goes_on_with_it() -> None:
    feed = feed_with("double")
    one = study_file(feed, "a" * 64, NET, Tuning(trials=5), 0)
    assert one == study_file(feed, "a" * 64, NET, Tuning(trials=50, seconds=1), 0)
    assert one.name.startswith("made-")
    others = [
        study_file(feed, "b" * 64, NET, Tuning(trials=5), 0),
        study_file(feed, "a" * 64, Estimator(), Tuning(trials=5), 0),
        study_file(feed, "a" * 64, NET, Tuning(trials=5, folds=3), 0),
        study_file(feed, "a" * 64, NET, Tuning(trials=5), 1),
    ]
    assert len({one, *others}) == 5
