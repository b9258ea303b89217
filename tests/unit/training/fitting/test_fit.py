"""Estimators by name, and what becomes of a feed's columns before they reach one."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from schemas.errors import FeedError, SettingsError
from tests.support.fitting_kit import feed_with, few
from training.fitting.estimators import is_classifier, make_estimator
from training.fitting.fit import fit
from training.settings import Estimator

REGRESSORS = ["elastic_net", "random_forest", "hist_gradient_boosting", "sklearn.linear_model.Ridge"]
CLASSIFIERS = ["logistic_regression", "random_forest", "hist_gradient_boosting", "sklearn.tree.DecisionTreeClassifier"]


@pytest.fixture(scope="module")
def price(homes: pd.DataFrame) -> pd.Series:
    return (homes["size"] + 2 * homes["lift"] + (homes["the kind"] == "flat")).rename("worth")


@pytest.mark.parametrize("name", REGRESSORS)
def test_words_nulls_booleans_and_text_of_numbers_become_numbers_inside_the_model(
    name: Any, homes: pd.DataFrame, price: pd.Series
) -> None:
    model = fit(feed_with("double"), homes, price, few(name), seed=0)
    odd = pd.DataFrame({"size": [1.0], "rooms": [np.nan], "the kind": ["castle"], "year": ["1999"], "lift": [True]})
    assert np.isfinite(model.predict(odd)).all()
    assert np.corrcoef(model.predict(homes), price)[0, 1] > 0.5
    with pytest.raises(ValueError, match="could not convert string to float: 'n/a'"):
        model.predict(odd.assign(year="n/a"))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_labels_are_learnt_as_they_are(name: Any, homes: pd.DataFrame, price: pd.Series) -> None:
    labels = pd.Series(np.where(price > 1.5, "dear", "cheap"), name="worth")
    model = fit(feed_with("string"), homes, labels, few(name), seed=0)
    assert (model.predict(homes) == labels).mean() > 0.8
    assert list(model.classes_) == ["cheap", "dear"]


def test_trees_get_values_as_they_are_and_linear_models_standardised(homes: pd.DataFrame, price: pd.Series) -> None:
    numbers = homes[["size", "lift"]]
    feed = feed_with("double", *numbers)
    tree = fit(feed, numbers, price, few("hist_gradient_boosting"), seed=0)
    assert tree[:-1].transform(numbers).tolist() == numbers.to_numpy(float).tolist()
    linear = fit(feed, numbers, price, Estimator(), seed=0)
    assert np.allclose(linear[:-1].transform(numbers).std(axis=0), 1)


@pytest.mark.parametrize("name", ["elastic_net", "random_forest"])
def test_equal_seeds_give_equal_models_and_answers_need_one_thread(
    name: str, homes: pd.DataFrame, price: pd.Series
) -> None:
    one, same = (fit(feed_with("double"), homes, price, few(name), seed=3) for _ in range(2))
    assert one.predict(homes).tolist() == same.predict(homes).tolist()
    assert one[-1].get_params().get("n_jobs") is None


@pytest.mark.parametrize(
    ("target", "name", "labels"),
    [
        ("double", "random_forest", False),
        ("int", "random_forest", False),
        ("int", "logistic_regression", True),
        ("long", "sklearn.ensemble.RandomForestClassifier", True),
        ("string", "random_forest", True),
        ("boolean", "hist_gradient_boosting", True),
    ],
)
def test_the_target_decides_between_a_quantity_and_a_label(target: str, name: str, labels: bool) -> None:
    assert is_classifier(feed_with(target), Estimator(name=name)) is labels


@pytest.mark.parametrize(
    ("target", "given", "message"),
    [
        ("double", {"name": "random_forrest"}, "'random_forrest' is unknown; did you mean 'random_forest'"),
        ("double", {"name": "xyz"}, "wanted one of elastic_net, .* or a dotted name"),
        ("double", {"name": "var"}, "'var' is for feeds of kind series"),
        ("double", {"name": "os.system"}, r"'os.system' is not on the allow-list \(sklearn.linear_model, .*allowed"),
        ("double", {"name": "sklearn.ensemble2.X"}, "not on the allow-list"),
        ("double", {"name": "sklearn.tree.export_text"}, "is no scikit-learn classifier or regressor"),
        ("double", {"name": "sklearn.ensemble.RandomTreesEmbedding"}, "is no scikit-learn classifier or regressor"),
        ("double", {"name": "sklearn.tree.Nope"}, "cannot be imported"),
        ("double", {"name": "logistic_regression"}, "cannot predict the target 'worth' of feed homes, a double"),
        ("string", {"name": "elastic_net"}, "cannot predict the target 'worth' of feed homes, a string"),
        ("string", {"name": "sklearn.linear_model.Ridge"}, "cannot predict the target"),
        ("string", {"name": "sklearn.linear_model.RidgeClassifier"}, "gives labels without probabilities"),
        ("double", {"parameters": {"alhpa": 1}}, "ElasticNet has no parameter 'alhpa'; did you mean 'alpha'"),
        ("double", {"parameters": {"alpha": -1}}, "'alpha' parameter of ElasticNet must be a float in the range"),
        ("double", {"name": "sklearn.ensemble.VotingRegressor"}, "missing 1 required .* 'estimators'"),
    ],
)
def test_an_estimator_that_will_not_do_is_refused_before_any_fitting(
    target: str, given: dict[str, dict[str, int]] | dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        make_estimator(feed_with(target), Estimator(**given), seed=0)
    assert "\n" not in str(caught.value)


def test_a_name_outside_the_allow_list_is_not_even_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_up.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingsError, match="not on the allow-list"):
        make_estimator(feed_with("double"), Estimator(name="made_up.Model"), 0)


def test_the_allow_list_is_a_setting() -> None:
    name = "sklearn.neighbors.KNeighborsRegressor"
    made = make_estimator(feed_with("double"), Estimator(name=name, allowed=(name,)), seed=0)
    assert type(made).__name__ == "KNeighborsRegressor"


@pytest.mark.parametrize(("kind", "message"), [("date", "is a date, wanted a number or a label"), (None, "no target")])
def test_a_feed_without_anything_to_predict_is_refused(kind: str | None, message: str) -> None:
    with pytest.raises(FeedError, match=message):
        is_classifier(feed_with(kind), Estimator())


def test_what_an_estimator_says_of_the_data_is_told_in_one_line(homes: pd.DataFrame) -> None:
    with pytest.raises(SettingsError, match=r"cannot be fitted on feed homes: .*2 classes") as caught:
        fit(feed_with("string"), homes, pd.Series(["dear"] * len(homes)), Estimator(name="logistic_regression"), 0)
    assert "\n" not in str(caught.value)
