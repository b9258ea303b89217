"""Metrics, intervals, slices and pictures of what a model answers on rows it has not seen."""

import json
import math
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from schemas.errors import SettingsError
from schemas.feed import Feed
from training.evaluation.evaluate import Evaluation, Interval, bootstrap, evaluate, slice_columns
from training.evaluation.metrics import judged
from training.evaluation.plots import Parts, draw, importance
from training.fitting.fit import fit
from training.settings import Estimator

ROWS = 300


@pytest.fixture(scope="module")
def features() -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "signal": random.normal(size=ROWS),
            "noise": random.normal(size=ROWS),
            "kind": random.choice(np.array(["flat", "house", None]), ROWS),
        }
    )


@pytest.fixture(scope="module")
def price(features: pd.DataFrame) -> pd.Series:
    return (1000 + features["signal"] + np.random.default_rng(1).normal(size=ROWS) / 2).rename("price")


@pytest.fixture(scope="module")
def labels(features: pd.DataFrame) -> pd.Series:
    drawn = features["signal"] + np.random.default_rng(2).normal(size=ROWS)
    return pd.Series(np.select([drawn < -1, drawn < 1], ["low", "mid"], "top"), name="label")


def predict_price(features: pd.DataFrame) -> np.ndarray:
    return 1000 + features["signal"].to_numpy()


def predict_label(features: pd.DataFrame) -> pd.DataFrame:
    """Rounded, so that many rows share a probability."""
    scores = np.exp(np.stack([-features["signal"], features["signal"] * 0 + 0.5, features["signal"]], axis=1).round(1))
    shares = scores / scores.sum(axis=1, keepdims=True)
    answer = pd.DataFrame(shares, columns=["probability_low", "probability_mid", "probability_top"])
    return answer.assign(label=np.array(["low", "mid", "top"])[shares.argmax(axis=1)])


@pytest.fixture(scope="module")
def of_price(features: pd.DataFrame, price: pd.Series) -> Evaluation:
    return evaluate(predict_price, features, price, price + 0.5, False, features[["signal", "kind"]], seed=4)


@pytest.fixture(scope="module")
def of_label(features: pd.DataFrame, labels: pd.Series) -> Evaluation:
    return evaluate(predict_label, features, labels, labels, True, features[["kind"]], seed=4)


def test_errors_of_a_quantity_are_scikit_learns(of_price: Evaluation, features: pd.DataFrame, price: pd.Series) -> None:
    given = predict_price(features)
    assert of_price.metrics == pytest.approx(
        {
            "rmse": sk.root_mean_squared_error(price, given),
            "mae": sk.mean_absolute_error(price, given),
            "median_absolute_error": sk.median_absolute_error(price, given),
            "r2": sk.r2_score(price, given),
        },
        rel=1e-12,
    )


def test_the_baseline_of_a_quantity_is_the_fitted_rows_mean(of_price: Evaluation, price: pd.Series) -> None:
    mean = np.full(ROWS, price.mean() + 0.5)
    assert of_price.baseline["rmse"] == pytest.approx(sk.root_mean_squared_error(price, mean), rel=1e-12)
    assert of_price.flat()["baseline_mae"] == pytest.approx(sk.mean_absolute_error(price, mean), rel=1e-12)
    assert of_price.flat()["rmse"] == of_price.metrics["rmse"]


def test_scores_of_labels_are_scikit_learns(of_label: Evaluation, features: pd.DataFrame, labels: pd.Series) -> None:
    answer = predict_label(features)
    shares = answer[["probability_low", "probability_mid", "probability_top"]]
    assert of_label.metrics == pytest.approx(
        {
            "accuracy": sk.accuracy_score(labels, answer["label"]),
            "f1": sk.f1_score(labels, answer["label"], average="macro"),
            "log_loss": sk.log_loss(labels, shares),
            "roc_auc": sk.roc_auc_score(labels, shares, multi_class="ovr"),
        },
        rel=1e-12,
    )


def test_scores_of_two_labels_are_scikit_learns(features: pd.DataFrame, labels: pd.Series) -> None:
    true = labels == "top"
    share = (1 / (1 + np.exp(-features["signal"]))).round(1)
    answer = pd.DataFrame({"label": share > 0.5, "probability_false": 1 - share, "probability_true": share})
    found = judged(answer, true, true, is_classifier=True).metrics(np.ones(ROWS))
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(true, share), rel=1e-12)
    assert found["log_loss"] == pytest.approx(sk.log_loss(true, share), rel=1e-12)


def test_the_baseline_of_labels_is_their_frequency(of_label: Evaluation, labels: pd.Series) -> None:
    frequency = labels.value_counts(normalize=True)
    assert of_label.baseline["accuracy"] == pytest.approx(frequency.max())
    assert of_label.baseline["log_loss"] == pytest.approx(-(frequency * np.log(frequency)).sum())
    assert of_label.baseline["roc_auc"] == 0.5


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_metrics_with_weights_are_those_of_rows_repeated(
    features: pd.DataFrame, price: pd.Series, labels: pd.Series, seed: int
) -> None:
    weights = np.random.default_rng(seed).integers(0, 3, ROWS)
    rows = np.repeat(np.arange(ROWS), weights)
    for predict, target, is_classifier in ((predict_price, price, False), (predict_label, labels, True)):
        answer = predict(features)
        weighted = judged(answer, target, target, is_classifier).metrics(weights.astype(float))
        some = answer.iloc[rows] if isinstance(answer, pd.DataFrame) else answer[rows]
        repeated = judged(some, target.iloc[rows], target, is_classifier).metrics(np.ones(len(rows)))
        assert weighted == pytest.approx(repeated, rel=1e-9)


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    random, held = np.random.default_rng(0), 0
    for seed in range(60):
        actual = pd.Series(random.normal(size=150))
        off = judged(np.zeros(150), actual, actual, is_classifier=False)
        found = bootstrap(off.metrics, 150, seed)["rmse"]
        held += found.low <= 1 <= found.high
    assert held >= 50  # of 60; 57 are what 95 % say


def test_intervals_come_from_the_seed_and_hold_the_metric(
    of_price: Evaluation, features: pd.DataFrame, price: pd.Series
) -> None:
    same = evaluate(predict_price, features, price, price + 0.5, False, seed=4)
    assert same.intervals == of_price.intervals
    assert evaluate(predict_price, features, price, price, False, seed=5).intervals != of_price.intervals
    assert all(i.low < of_price.metrics[name] < i.high for name, i in of_price.intervals.items())


def test_numbers_are_sliced_in_quartiles_and_text_by_value_nulls_too(
    of_price: Evaluation, features: pd.DataFrame, price: pd.Series
) -> None:
    sizes = {(part.column, part.value): part.rows for part in of_price.slices}
    assert [rows for (column, _), rows in sizes.items() if column == "signal"] == [75] * 4
    assert {value for column, value in sizes if column == "kind"} == {"flat", "house", "(null)"}
    assert sum(rows for (column, _), rows in sizes.items() if column == "kind") == ROWS
    flats = (features["kind"] == "flat").to_numpy()
    found = next(part for part in of_price.slices if part.value == "flat")
    assert found.rows == flats.sum()
    assert found.metrics["mae"] == pytest.approx(sk.mean_absolute_error(price[flats], predict_price(features)[flats]))
    assert found.baseline["mae"] == pytest.approx(np.abs(price[flats] - price.mean() - 0.5).mean())


def test_what_is_not_defined_in_a_slice_is_left_out(labels: pd.Series, features: pd.DataFrame) -> None:
    found = evaluate(predict_label, features, labels, labels, True, labels.to_frame())
    assert [set(part.metrics) for part in found.slices] == [{"accuracy", "f1", "log_loss"}] * 3


def test_a_column_to_slice_by_must_be_there(features: pd.DataFrame) -> None:
    others = pd.DataFrame({"shop": ["a"] * ROWS})
    assert list(slice_columns(["shop", "kind"], features, others)) == ["shop", "kind"]
    with pytest.raises(SettingsError, match=r"gate.slices: there is no column 'colour'; wanted .*signal, .*shop"):
        slice_columns(["colour"], features, others)


def test_a_model_of_fewer_labels_or_none_but_labels_is_judged_as_well(
    features: pd.DataFrame, labels: pd.Series
) -> None:
    whole = predict_label(features)
    fewer = evaluate(lambda rows: whole.drop(columns="probability_low"), features, labels, labels, True)
    assert fewer.metrics["accuracy"] == (whole["label"] == labels).mean()
    assert fewer.metrics["log_loss"] > evaluate(predict_label, features, labels, labels, True).metrics["log_loss"]
    bare = evaluate(lambda rows: whole["label"].to_numpy(), features, labels, labels, True)
    assert set(bare.metrics) == {"accuracy", "f1"}


def test_the_report_is_json_even_where_a_number_is_none() -> None:
    made = Evaluation({"rmse": math.nan}, {"rmse": 1.0}, {"rmse": Interval(math.nan, math.inf)})
    assert json.loads(made.to_json()) == {
        "metrics": {"rmse": None},
        "baseline": {"rmse": 1.0},
        "intervals": {"rmse": {"low": None, "high": None}},
        "slices": [],
    }


def feed_with(target: str) -> Feed:
    columns = [{"name": "signal", "type": "double"}, {"name": "noise", "type": "double"}]
    return Feed.model_validate(
        {"name": "homes", "columns": [*columns, {"name": "y", "type": target, "role": "target"}]}
    )


@pytest.mark.parametrize(
    ("kind", "name", "pictures"),
    [
        ("double", "elastic_net", ["importance", "learning_curve", "residuals"]),
        ("string", "logistic_regression", ["calibration", "confusion", "importance", "learning_curve"]),
    ],
)
def test_pictures_are_self_contained_and_the_same_each_time(
    features: pd.DataFrame, price: pd.Series, labels: pd.Series, kind: str, name: str, pictures: list[str]
) -> None:
    numbers, target = features[["signal", "noise"]], price if kind == "double" else labels
    feed, estimator = feed_with(kind), Estimator(name=name)
    model = fit(feed, numbers, target, estimator, seed=0)
    drawn = draw(feed, model, estimator, Parts(numbers, target, numbers, target), seed=0)
    assert list(drawn) == pictures
    assert drawn == draw(feed, model, estimator, Parts(numbers, target, numbers, target), seed=0)
    for svg in drawn.values():
        assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
        assert "http" not in svg.replace("http://www.w3.org/", "")
    assert target.name in drawn[pictures[0] if kind == "string" else "residuals"]
    assert all(column in drawn["importance"] for column in numbers)


def test_the_feature_that_counts_comes_first(features: pd.DataFrame, price: pd.Series) -> None:
    numbers, feed = features[["noise", "signal"]], feed_with("double")
    model = fit(feed, numbers, price, Estimator(parameters={"alpha": 0.01}), seed=0)
    found = importance(feed, model, Estimator(), numbers, price, seed=0)
    assert list(found.index) == ["signal", "noise"]
    assert found["signal"] > 10 * abs(found["noise"])
