"""Missing text reaches a model as it was in the rows that it was trained on: NaN or None."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from schemas.feed import Feed
from streamscore.models.row_model import load_model
from streamscore.registry.missing_text import NAN, NONE, missing_text_of
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.registry import Registry
from training.data.training_data import read_data
from training.fitting.fit import fit
from training.fitting.log_model import METADATA, predictor, signature_of
from training.settings import Estimator

SHOPS = ["a", "b", None, "a", "a", None, "b", "a", "c", None] * 4
ROWS = pd.DataFrame({"shop": SHOPS, "n": np.arange(40) / 10})
TARGET = (ROWS["shop"].fillna("a") == "a") * 10.0 + ROWS.n + ROWS["shop"].isna() * 3.0
FEED = Feed.model_validate(
    {
        "name": "shops",
        "columns": [
            {"name": "shop", "type": "string", "nullable": True},
            {"name": "n", "type": "double"},
            {"name": "sold", "type": "double", "role": "target"},
        ],
    }
)
STEPS: dict[str, Callable[[Any], list[Any]]] = {
    "imputer and encoder": lambda m: [SimpleImputer(missing_values=m, strategy="most_frequent"), OneHotEncoder()],
    "imputer with a word": lambda m: [
        SimpleImputer(missing_values=m, strategy="constant", fill_value="none"),
        OneHotEncoder(),
    ],
    "strict encoder": lambda _: [OneHotEncoder(handle_unknown="error")],
    "lenient encoder": lambda _: [OneHotEncoder(handle_unknown="ignore")],
    "ordinal encoder": lambda _: [
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=7)
    ],
}


def trained(steps: str, missing: Any) -> tuple[Pipeline, pd.DataFrame]:
    """A pipeline of others, and the rows that it was trained on."""
    rows = ROWS.assign(shop=ROWS["shop"].astype(object).where(ROWS["shop"].notna(), missing))
    text = make_pipeline(*STEPS[steps](missing))
    return make_pipeline(ColumnTransformer([("c", text, ["shop"])], remainder="passthrough"), LinearRegression()).fit(
        rows, TARGET
    ), rows


@pytest.mark.parametrize("missing", [np.nan, None], ids=[NAN, NONE])
@pytest.mark.parametrize("steps", STEPS)
def test_what_a_pipeline_of_others_knows_for_missing_text_is_seen(steps: str, missing: Any) -> None:
    model, rows = trained(steps, missing)
    assert missing_text_of(model, None) == (NONE if missing is None else NAN)
    holder = type("PythonModel", (), {})()
    holder.parts = {"pipeline": [model]}
    assert missing_text_of(holder, None) == missing_text_of(model, None)
    assert rows["shop"].isna().any()


def test_the_metadata_of_a_model_decide_and_nothing_known_is_nan() -> None:
    model, _ = trained("strict encoder", np.nan)
    assert missing_text_of(model, {"streamscore": {"missing_text": "none"}}) == NONE
    assert missing_text_of(model, {"streamscore": {"missing_text": "?"}}) == NAN
    assert missing_text_of(None, {}) == missing_text_of(object(), None) == NAN


@pytest.mark.trains
@pytest.mark.parametrize("missing", [np.nan, None], ids=[NAN, NONE])
@pytest.mark.parametrize("steps", ["imputer and encoder", "strict encoder", "ordinal encoder"])
def test_a_pipeline_of_others_predicts_in_the_stream_what_it_predicted_in_training(
    steps: str, missing: Any, tmp_path: Path
) -> None:
    import mlflow.sklearn
    from mlflow.models import infer_signature

    model, rows = trained(steps, missing)
    wanted = model.predict(rows)
    mlflow.sklearn.save_model(
        model,
        str(tmp_path / "model"),
        signature=infer_signature(rows, wanted),
        input_example=rows.head(3),  # with a missing text, which JSON has as null
        skops_trusted_types=["numpy.dtype"],
        pip_requirements=[],
    )
    loaded = load_model(tmp_path / "model", FEED, ModelVersion("shops", "1", "r"))
    table = pa.table({"shop": SHOPS, "n": ROWS.n.to_numpy()})
    assert loaded.predict(table).to_pylist() == wanted.tolist()
    assert [loaded.predict(table.slice(row, 1))[0].as_py() for row in (2, 5)] == wanted[[2, 5]].tolist()


@pytest.mark.trains
@pytest.mark.parametrize("first_missing", [2, 39], ids=["seen in training", "never seen"])
def test_our_own_pipeline_predicts_bit_for_bit_what_it_predicted_in_training(
    first_missing: int, tmp_path: Path
) -> None:
    import mlflow.sklearn

    rows = ROWS.assign(sold=TARGET)
    rows.loc[: first_missing - 1, "shop"] = rows.loc[: first_missing - 1, "shop"].fillna("a")
    rows.to_csv(tmp_path / "shops.csv", index=False)
    data = read_data(FEED, tmp_path / "shops.csv")
    fitted = slice(0, first_missing if first_missing > 10 else 40)
    model = fit(FEED, data.features[fitted], data.target[fitted], Estimator(name="elastic_net"), 0)
    wanted = predictor(FEED, model)(data.features)
    path = tmp_path / "model"
    mlflow.sklearn.save_model(
        model,
        str(path),
        signature=signature_of(FEED),
        metadata=METADATA,
        pip_requirements=[],
        skops_trusted_types=["numpy.dtype"],
    )
    loaded = load_model(path, FEED, ModelVersion("shops", "1", "r"))
    table = pa.table({"shop": data.features["shop"].tolist(), "n": data.features["n"].to_numpy()})
    assert loaded.predict(table).to_pylist() == wanted.tolist()


def test_training_writes_down_what_missing_text_was(homes_registry: Registry) -> None:
    said = homes_registry.mlmodel(homes_registry.resolve("models:/homes/1"))["metadata"]
    assert said["streamscore"] == {"kind": "rows", "missing_text": "none"}
