"""Models that other tools logged: the feed that is proposed for one gives it what it was trained on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
import yaml
from mlflow.models import Model as Logged
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from schemas.errors import ContractError
from schemas.feed import Feed
from schemas.model_inputs import inputs_of
from schemas.propose import feed_from_signature
from streamscore.models.example import example_rows
from streamscore.models.row_model import load_model
from streamscore.registry.model_version import ModelVersion

PAIRS = np.array([[1, 0], [1, 1]])
SUMS = "return np.asarray(model_input).sum(axis=1)"
IDENTITY = ModelVersion("f", "1", "r")


@pytest.mark.parametrize("kind", ["float64", "float32", "int64", "int32", "int16", "uint8", "uint64", "bool"])
def test_a_tensor_of_numbers(save_model: Callable[..., Path], kind: str) -> None:
    inputs = PAIRS.astype(kind)
    assert streamed(save_model(SUMS, np.ones(1), inputs=inputs), inputs) == [1, 2]


@pytest.mark.parametrize(
    ("body", "inputs", "wanted"),
    [
        (SUMS, pd.DataFrame(PAIRS), [1, 2]),
        (SUMS, pd.DataFrame(PAIRS.astype("int32"), columns=["age_<30", "age_>30"]), [1, 2]),
        (SUMS, pd.DataFrame(PAIRS.astype("float32"), columns=["prediction", "%"]), [1, 2]),
        ("return [len(text) for text in model_input]", np.array(["a", "bcd"]), [1, 3]),
        ("return [len(a + b) for a, b in model_input]", np.array([["a", "b"], ["c", "de"]], dtype=object), [2, 3]),
        (
            "return model_input['a'] + model_input['w'].sum(axis=1)",
            {"a": np.array([1.0, 2.0]), "w": PAIRS.astype("float32")},
            [2, 4],
        ),
        ("return [r is None for r in model_input['b']]", pd.DataFrame({"b": [True, None]}), [False, True]),
        ("return model_input['n'].fillna(7)", pd.DataFrame({"n": np.array([1, np.nan], "float32")}), [1, 7]),
    ],
    ids=["numbered", "one snake_case", "reserved", "texts", "objects", "several tensors", "no boolean", "no float"],
)
def test_columns_of_every_name_and_arrays_of_every_shape(
    save_model: Callable[..., Path], body: str, inputs: Any, wanted: list[Any]
) -> None:
    assert streamed(save_model(body, np.ones(1), inputs=inputs, example=False), inputs) == wanted


def test_inputs_without_names_are_taken_by_their_places(save_model: Callable[..., Path]) -> None:
    path = save_model(SUMS, np.ones(1), inputs=pd.DataFrame(PAIRS * 1.0), example=False)
    logged = Logged.load(str(path))
    logged.signature = ModelSignature(Schema([ColSpec(DataType.double)] * 2), Schema([ColSpec(DataType.double)]))
    logged.save(str(path / "MLmodel"))
    assert streamed(path, pd.DataFrame(PAIRS * 1.0)) == [1, 2]


@pytest.mark.parametrize(
    ("hint", "body", "inputs", "wanted"),
    [
        (
            "list[Row]) -> list[float]",
            "return [r.a * (r.n or 1) + (r.d is None) for r in rows]",
            {"a": [1.5, 2.0], "n": [2, None], "d": [pd.Timestamp("2024-01-01"), None]},
            [3, 3],
        ),
        ("list[str]) -> list[str]", "return [text.upper() for text in rows]", {"x": ["a", "b"]}, ["A", "B"]),
        (
            "list[Row]) -> list[Answer]",
            "return [Answer(p=r.a, label='x') for r in rows]",
            {"a": [1.5], "n": [1], "d": [None]},
            [{"p": 1.5, "label": "x"}],
        ),
    ],
)
def test_type_hints_are_the_signature(
    tmp_path: Path, hint: str, body: str, inputs: dict[str, list[Any]], wanted: list[Any]
) -> None:
    code = tmp_path / "model.py"
    code.write_text(
        "import mlflow, pydantic\nfrom datetime import datetime\nfrom typing import Optional\n"
        "class Row(pydantic.BaseModel):\n    a: float\n    n: Optional[int] = None\n    d: Optional[datetime] = None\n"
        "class Answer(pydantic.BaseModel):\n    p: float\n    label: str\n"
        f"class Model(mlflow.pyfunc.PythonModel):\n    def predict(self, rows: {hint}:\n        {body}\n"
        "mlflow.models.set_model(Model())\n"
    )
    example = [{"a": 1.0, "n": 1}] if "Row" in hint else ["x"]
    mlflow.pyfunc.save_model(
        str(tmp_path / "model"), python_model=str(code), input_example=example, pip_requirements=[]
    )
    assert streamed(tmp_path / "model", pd.DataFrame(inputs)) == wanted


def test_whole_numbers_of_a_feed_are_what_a_tensor_of_doubles_promised(save_model: Callable[..., Path]) -> None:
    feed = Feed.model_validate({"name": "f", "columns": [{"name": n, "type": "int"} for n in "ab"]})
    model = load_model(save_model(SUMS, np.ones(1), inputs=PAIRS * 1.0), feed, IDENTITY)
    assert model.predict(pa.table({"a": pa.array([3], pa.int32()), "b": pa.array([4], pa.int32())})).to_pylist() == [7]


@pytest.mark.parametrize("example", [True, False])
def test_a_regressor_with_the_signature_of_its_whole_target_is_refused(
    save_model: Callable[..., Path], small_feed: Feed, example: bool
) -> None:
    path = save_model("return model_input['a'] / 3 + 0.1", pd.Series([1], name="digit"), example=example)
    with pytest.raises(ContractError, match="the signature says a whole number; log it with infer_signature"):
        load_model(path, small_feed, IDENTITY)


def test_rows_of_the_feed_are_tried_beside_the_example(save_model: Callable[..., Path]) -> None:
    feed = Feed.model_validate({"name": "f", "columns": [{"name": "a", "type": "double"}]})
    path = save_model("return model_input['b']", np.ones(2), inputs=pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, None]}))
    with pytest.raises(ContractError, match=r"cannot predict its example as the rows of a file .*KeyError: 'b'"):
        load_model(path, feed, IDENTITY)


@pytest.mark.parametrize("example", [True, False])
def test_one_answer_for_all_rows_shows_before_the_first_file(
    save_model: Callable[..., Path], small_feed: Feed, example: bool
) -> None:
    path = save_model("return [model_input['a'].mean()]", np.ones(1), example=example)
    with pytest.raises(ContractError, match="it answers 1 outputs for 2 rows, wanted one a row"):
        load_model(path, small_feed, IDENTITY)


def test_an_example_that_mlflow_cannot_load_is_none(save_model: Callable[..., Path]) -> None:
    inputs = pd.DataFrame({"n": pd.array([1, None], "Int64")})
    path = save_model("return model_input['n'].fillna(7).astype('float64')", np.ones(1), inputs=inputs, example=False)
    logged = Logged.load(str(path))
    logged.saved_input_example_info = {"artifact_path": "example.json", "type": "dataframe", "pandas_orient": "split"}
    logged.save(str(path / "MLmodel"))
    (path / "example.json").write_text('{"columns": ["n"], "data": [[1], [null]]}')
    assert streamed(path, inputs) == [1, 7]


def test_a_sparse_example_is_a_dense_tensor_of_the_feed(save_model: Callable[..., Path]) -> None:
    inputs = scipy.sparse.csr_matrix(PAIRS * 1.0)
    body = "return np.asarray(model_input.sum(axis=1)).ravel()"
    assert streamed(save_model(body, np.ones(1), inputs=inputs), inputs) == [1, 2]


def streamed(path: Path, inputs: Any) -> list[Any]:
    """What the model predicts for its inputs, as rows of the feed that is proposed for it."""
    signature = Logged.load(str(path)).signature
    feed = Feed.model_validate(yaml.safe_load(feed_from_signature("f", signature, "models:/f@production")))
    model = load_model(path, feed, IDENTITY)
    rows = example_rows(inputs, feed, inputs_of(signature, "f v1"))
    return list(model.predict(rows).to_pylist())
