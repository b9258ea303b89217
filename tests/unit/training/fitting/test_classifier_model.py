"""A classifier from fitting to the stream: labels and probabilities, no pickle, and the pipeline's own numbers."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.pipeline import Pipeline

from schemas.errors import FeedError, SettingsError
from schemas.feed import Feed
from schemas.settings import Models, load_settings
from streamscore.models.row_model import Model, load_model
from streamscore.registry.allow_list import assert_folder_loadable
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.registry import Registry, open_registry
from tests.support.fitting_kit import feed_with, few
from tests.support.new_database import new_database
from training.fitting.classifier_model import TRUSTED
from training.fitting.fit import fit
from training.fitting.log_model import log_model, predictor, probability_columns, signature_of
from training.settings import Estimator

pytestmark = pytest.mark.trains


def target_of(kind: str, homes: pd.DataFrame) -> pd.Series:
    worth = homes["size"] + homes["lift"]
    if kind == "string":
        return pd.Series(np.select([worth < 0, worth < 1], ["bad", "so-so"], "Very good"))
    return {"boolean": worth > 0, "int": (worth > 0) * 2 - 1, "double": worth}[kind]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    uri = new_database(tmp_path_factory.mktemp("classifier"))
    return open_registry(load_settings(flags={"registry.tracking_uri": uri}))


@dataclass(frozen=True)
class Registered:
    feed: Feed
    pipeline: Pipeline
    path: Path
    model: Model


def rows_of(homes: pd.DataFrame, feed: Feed) -> pa.Table:
    columns = {c.table_name: pa.array(homes[c.name], from_pandas=True).cast(c.arrow_type) for c in feed.features}
    return pa.table(columns)


@pytest.fixture(
    scope="module",
    params=[
        ("string", "logistic_regression"),
        ("string", "random_forest"),
        ("string", "hist_gradient_boosting"),
        ("boolean", "logistic_regression"),
        ("int", "logistic_regression"),
        ("double", "elastic_net"),
        ("double", "random_forest"),
        ("double", "hist_gradient_boosting"),
    ],
    ids="-".join,
)
def registered(
    request: pytest.FixtureRequest, registry: Registry, homes: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> Registered:
    kind, name = request.param
    feed = feed_with(kind)
    pipeline = fit(feed, homes, target_of(kind, homes), few(name), 0)
    experiment = registry.experiment("homes")
    with registry.active() as mlflow, mlflow.start_run(experiment_id=experiment) as run:
        logged = log_model(feed, pipeline, homes.head(5), mlflow)
    version = registry.add_version("homes", logged.model_id, run.info.run_id, {})
    path = registry.download(registry.resolve(f"models:/homes/{version}"), tmp_path_factory.mktemp("models"))
    return Registered(feed, pipeline, path, load_model(path, feed, ModelVersion("homes", version, run.info.run_id)))


def test_the_stream_gets_the_pipelines_own_numbers(registered: Registered, homes: pd.DataFrame) -> None:
    streamed = registered.model.predict(rows_of(homes, registered.feed))
    expected = predictor(registered.feed, registered.pipeline)(homes)
    if isinstance(expected, np.ndarray):
        assert streamed.type == pa.float64()
        assert streamed.to_pylist() == expected.tolist()
        return
    assert [field.name for field in streamed.type] == list(expected)
    assert streamed.field("label").to_pylist() == registered.pipeline.predict(homes).tolist()
    shares = np.column_stack([streamed.field(i).to_numpy() for i in range(1, streamed.type.num_fields)])
    assert (shares == registered.pipeline.predict_proba(homes)).all()


def test_what_is_registered_may_be_loaded_by_default_and_holds_no_pickle(registered: Registered) -> None:
    assert_folder_loadable(registered.path, "homes", Models())
    assert not [path for path in registered.path.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]


def test_the_prediction_column_is_a_struct_of_label_and_probabilities(registry: Registry, homes: pd.DataFrame) -> None:
    asked = {
        "string": pa.struct(
            {"label": pa.string()} | {f"probability_{word}": pa.float64() for word in ("very_good", "bad", "so_so")}
        ),
        "boolean": pa.struct(
            {"label": pa.bool_(), "probability_false": pa.float64(), "probability_true": pa.float64()}
        ),
        "int": pa.struct({"label": pa.int64(), "probability_minus_1": pa.float64(), "probability_1": pa.float64()}),
    }
    from schemas.signature import output_type

    for kind, wanted in asked.items():
        labels = sorted(target_of(kind, homes).unique())
        assert output_type(signature_of(feed_with(kind), labels), "m v1") == wanted


IN_ANOTHER_PROCESS = """
import sys, json, pandas as pd, mlflow.pyfunc
answer = mlflow.pyfunc.load_model(sys.argv[1]).predict(pd.read_parquet(sys.argv[2]))
print(answer.to_json(double_precision=15))
assert not any(name.split(".")[0] in ("schemas", "training", "jobs") for name in sys.modules)
"""


@pytest.mark.repeats
@pytest.mark.parametrize("registered", [("string", "logistic_regression")], indirect=True, ids="-".join)
def test_a_classifier_answers_in_a_process_without_our_code(
    registered: Any, homes: pd.DataFrame, tmp_path: Path
) -> None:
    homes.to_parquet(tmp_path / "features.parquet")
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, str(registered.path), str(tmp_path / "features.parquet")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = predictor(registered.feed, registered.pipeline)(homes)
    assert json.loads(done.stdout) == json.loads(expected.to_json(double_precision=15))
    assert "type hints" not in done.stderr


def test_the_code_of_a_classifier_trusts_what_the_stream_trusts() -> None:
    assert Models().skops_types == TRUSTED


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a b", "a-b"], "the label 'a-b' and 'a b' are both 'probability_a_b'"),
        (["+", "a"], r"the label '\+' has no letter or digit"),
    ],
)
def test_labels_that_make_no_column_are_refused(labels: list[str], message: str) -> None:
    with pytest.raises(FeedError, match=message):
        probability_columns(feed_with("string"), labels)


def test_a_classifier_that_would_not_load_is_not_logged(registry: Registry, homes: pd.DataFrame) -> None:
    feed, name = feed_with("string"), "sklearn.gaussian_process.GaussianProcessClassifier"
    estimator = Estimator(name=name, allowed=(name,))
    pipeline = fit(feed, homes.head(20), target_of("string", homes).head(20), estimator, seed=0)
    experiment = registry.experiment("homes")
    with (
        registry.active() as mlflow,
        pytest.raises(SettingsError, match=r"GaussianProcessClassifier is stored with the type .* not loaded"),
        mlflow.start_run(experiment_id=experiment),
    ):
        log_model(feed, pipeline, homes.head(5), mlflow)
