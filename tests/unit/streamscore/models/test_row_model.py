"""What a model gets from a feed's rows and what becomes of what it returns."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from schemas.errors import ContractError
from schemas.feed import Feed
from streamscore.models.answers import OutputCountError, null_or_nan
from streamscore.models.row_model import Model, load_model
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.pyfunc import load_pyfunc

ROWS = pa.table({"a": [1.0, 2.0], "b": [10.0, 20.0]})


@pytest.mark.parametrize(
    ("body", "output", "wanted", "values"),
    [
        ("return (model_input['a'] + model_input['b']).to_numpy()", np.array([1.0]), pa.float64(), [11.0, 22.0]),
        ("return model_input['a'].astype('int64')", pd.Series([1]), pa.int64(), [1, 2]),
        ("return ['x' if a < 2 else 'y' for a in model_input['a']]", np.array(["x"]), pa.string(), ["x", "y"]),
        (
            "return model_input[['a', 'b']].to_numpy()",
            np.ones((1, 2)),
            pa.list_(pa.float64()),
            [[1.0, 10.0], [2.0, 20.0]],
        ),
        (
            "return pd.DataFrame({'low': model_input['a'], 'name': 'n'})",
            pd.DataFrame({"low": [1.0], "name": ["n"]}),
            pa.struct([("low", pa.float64()), ("name", pa.string())]),
            [{"low": 1.0, "name": "n"}, {"low": 2.0, "name": "n"}],
        ),
        ("return {'p': model_input['a'].to_numpy()}", {"p": np.array([1.0])}, pa.float64(), [1.0, 2.0]),
        ("return pd.DataFrame({'only': model_input['a']})", pd.DataFrame({"only": [1.0]}), pa.float64(), [1.0, 2.0]),
    ],
    ids=["scalar", "long", "string", "array", "struct", "dict", "one-column frame"],
)
def test_each_kind_of_output_becomes_one_column(
    model_of: Callable[..., Model], body: str, output: object, wanted: pa.DataType, values: list[object]
) -> None:
    model = model_of(body, output)
    assert model.output == wanted
    assert model.predict(ROWS).to_pylist() == values


def test_a_wrong_number_of_outputs_is_told(model_of: Callable[..., Model]) -> None:
    model = model_of("return model_input['a'][model_input['a'] < 2].to_numpy()", np.array([1.0]))
    with pytest.raises(OutputCountError, match="1 outputs for 2 rows"):
        model.predict(ROWS)


def test_a_model_that_fails_its_own_example_is_refused(model_of: Callable[..., Model]) -> None:
    with pytest.raises(ContractError, match=r"cannot predict its example.*boom"):
        model_of("raise ValueError('boom')", np.array([1.0]))


def test_a_model_without_example_is_warmed_up_with_a_made_up_row(model_of: Callable[..., Model]) -> None:
    with pytest.raises(ContractError, match="boom"):
        model_of("raise ValueError('boom')", np.array([1.0]), example=False)


def test_a_string_input_gets_the_text_as_it_stands_in_the_file(
    save_model: Callable[..., Path], small_feed: Feed
) -> None:
    inputs = pd.DataFrame({"a": ["1"], "b": [2.0]})
    path = save_model("return model_input['a'].to_numpy()", np.array(["1"]), inputs=inputs)
    model = load_model(path, small_feed, ModelVersion("small", "1", "run-1"))
    assert model.text_columns == {"a"}
    rows = pa.table({"a": [1.0], "text:a": ["1.00"], "b": [2.0]})
    assert model.predict(rows).to_pylist() == ["1.00"]


def test_a_long_feed_widens_to_a_double_model(save_model: Callable[..., Path]) -> None:
    feed = Feed.model_validate({"name": "w", "columns": [{"name": n, "type": "long"} for n in "ab"]})
    path = save_model("return (model_input['a'] / 2).to_numpy()", np.array([1.0]))
    model = load_model(path, feed, ModelVersion("w", "1", ""))
    assert model.predict(pa.table({"a": [1, 3], "b": [0, 0]})).to_pylist() == [0.5, 1.5]


@pytest.mark.parametrize(
    ("values", "bad"),
    [
        (pa.array([1.0, None, float("nan")]), [False, True, True]),
        (pa.array(["a", None]), [False, True]),
        (pa.array([[1.0], [1.0, float("nan")], None, []]), [False, True, True, False]),
        (pa.array([{"p": 1.0, "q": "x"}, {"p": float("nan"), "q": "x"}, {"p": 1.0, "q": None}]), [False, True, True]),
    ],
    ids=["scalar", "string", "array", "struct"],
)
def test_null_and_nan_are_found_at_any_depth(values: pa.Array, bad: list[bool]) -> None:
    assert null_or_nan(values).to_pylist() == bad


@pytest.mark.parametrize("with_nulls", [False, True])
def test_a_model_gets_the_rows_that_mlflows_own_check_would_give_it(
    save_model: Callable[..., Path], with_nulls: bool
) -> None:
    columns = {
        "boolean": pa.array([True, False, True]),
        "integer": pa.array([1, -2, 3], pa.int32()),
        "long": pa.array([2**53 + 1, -2, 3]),
        "float": pa.array([0.1, None if with_nulls else 0.2, 0.3], pa.float32()),
        "double": pa.array([0.1, None if with_nulls else 0.2, 0.3]),
        "string": pa.array(["a", None if with_nulls else "", "é"]),
        "datetime": pa.array([0, None if with_nulls else 1, 2], pa.timestamp("ns")),
    }
    frame = pa.table(columns).to_pandas()
    pyfunc = load_pyfunc(save_model("return model_input", np.array([1.0]), inputs=frame))
    checked, promised = pyfunc.predict(frame), pyfunc.predict_promised(frame)
    pd.testing.assert_frame_equal(checked, promised, check_exact=True, check_column_type=True)
    for name in columns:
        assert [type(value) for value in checked[name]] == [type(value) for value in promised[name]]


def test_a_model_whose_params_have_defaults_still_gets_them(tmp_path: Path) -> None:
    import mlflow.pyfunc
    from mlflow.models import infer_signature

    inputs = pd.DataFrame({"a": [1.0]})
    code = tmp_path / "model.py"
    code.write_text(
        "import mlflow\n"
        "class Model(mlflow.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input, params=None):\n"
        "        return model_input['a'].to_numpy() * params['factor']\n"
        "mlflow.models.set_model(Model())\n"
    )
    signature = infer_signature(inputs, np.array([1.0]), params={"factor": 3.0})
    mlflow.pyfunc.save_model(str(tmp_path / "m"), python_model=str(code), signature=signature, pip_requirements=[])
    assert load_pyfunc(tmp_path / "m").predict_promised(inputs).tolist() == [3.0]


@pytest.mark.parametrize("rows", [1, 1000])
def test_numbers_reach_the_model_as_arrow_would_lay_them_out(model_of: Callable[..., Model], rows: int) -> None:
    model = model_of("return model_input['a'].to_numpy()", np.array([1.0]))
    values = np.random.default_rng(1).random((2, rows))
    given = {"b": pa.array(values[0]), "a": pa.array([None, *values[1, 1:]][:rows], pa.float64())}
    wanted, found = pa.table([given["a"], given["b"]], ["a", "b"]).to_pandas(), model._frame(pa.table(given))
    pd.testing.assert_frame_equal(found, wanted, check_exact=True)
    assert found.to_numpy().strides == wanted.to_numpy().strides  # a product of another order has other last bits
