import re
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import AnyType, Array, Object, Property

from schemas.errors import ContractError, FeedError
from schemas.feed import Feed
from schemas.model_inputs import inputs_of
from schemas.propose import feed_from_signature
from schemas.signature import Difference, assert_contract, differences, output_type, text_columns

FEED_TYPES = ["string", "boolean", "int", "long", "float", "double", "date", "timestamp"]
MODEL_TYPES = ["boolean", "integer", "long", "float", "double", "string", "datetime"]

# feed type → the model's types that take it; everything else narrows
ACCEPTED = {
    "string": {"string"},
    "boolean": {"boolean", "string"},
    "int": {"integer", "long", "double", "string"},
    "long": {"long", "double", "string"},
    "float": {"float", "double", "string"},
    "double": {"double", "string"},
    "date": {"datetime", "string"},
    "timestamp": {"datetime", "string"},
}


def feed_of(*columns: Any) -> Feed:
    return Feed.model_validate({"name": "f", "columns": list(columns)})


def signature_of(*inputs: Any, outputs: Any = None) -> ModelSignature:
    outputs = outputs if outputs is not None else [ColSpec(DataType.double)]
    return ModelSignature(inputs=Schema(list(inputs)), outputs=Schema(outputs))


def found_between(feed: Feed, signature: ModelSignature) -> list[Difference]:
    return differences(feed, inputs_of(signature, "m v1", len(feed.features)))


def column(kind: Any, name: str = "a", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


@pytest.mark.parametrize("model", MODEL_TYPES)
@pytest.mark.parametrize("feed", FEED_TYPES)
def test_widening_is_allowed_and_narrowing_refused(feed: Any, model: Any) -> None:
    found = found_between(feed_of(column(feed)), signature_of(ColSpec(DataType[model], "a")))
    assert (found == []) == (model in ACCEPTED[feed])
    if found:
        assert (found[0].column, found[0].feed, found[0].model) == ("a", feed, model)


@given(st.permutations(["a", "b c", "pH"]), st.permutations(["a", "b c", "pH"]))
def test_columns_are_matched_by_name_not_by_position(in_feed: Any, in_model: Any) -> None:
    feed = feed_of(*(column("double", name) for name in in_feed))
    assert found_between(feed, signature_of(*(ColSpec(DataType.double, name) for name in in_model))) == []


@given(st.sets(st.sampled_from("abcd"), min_size=1), st.sets(st.sampled_from("abcd"), min_size=1))
def test_what_one_side_lacks_is_named_once(in_feed: Any, in_model: Any) -> None:
    feed = feed_of(*(column("double", name) for name in sorted(in_feed)))
    found = found_between(feed, signature_of(*(ColSpec(DataType.double, name) for name in sorted(in_model))))
    assert sorted(d.column for d in found) == sorted(in_feed ^ in_model)


def test_an_input_that_the_model_can_do_without_may_be_missing() -> None:
    signature = signature_of(ColSpec(DataType.double, "a"), ColSpec(DataType.double, "b", required=False))
    assert found_between(feed_of(column("double")), signature) == []


@pytest.mark.parametrize(("model", "fits"), [("integer", False), ("long", False), ("double", True), ("string", True)])
def test_nulls_need_a_type_that_holds_them(model: str, fits: bool) -> None:
    feed = feed_of(column("int", nullable=True))
    assert (found_between(feed, signature_of(ColSpec(DataType[model], "a"))) == []) == fits


def test_keys_targets_and_carried_columns_are_no_inputs() -> None:
    others = [column("string", role, role=role) for role in ("key", "carry")] + [column("double", "y", role="target")]
    assert found_between(feed_of(column("double"), *others), signature_of(ColSpec(DataType.double, "a"))) == []


@pytest.mark.parametrize("signature", [None, ModelSignature(outputs=Schema([ColSpec(DataType.double)]))])
def test_a_model_without_a_signature_does_not_fit(signature: Any) -> None:
    with pytest.raises(ContractError, match="m v1 has no signature with inputs; log it with infer_signature"):
        assert_contract(feed_of(column("double")), signature, "m v1")


@pytest.mark.parametrize(
    ("shape", "kind", "fits"),
    [
        ((-1, 2), "float64", True),
        ((-1, -1), "float64", True),
        ((-1, 3), "float64", False),
        ((-1,), "float64", False),
        ((-1, 2), "int64", False),
    ],
)
def test_a_tensor_takes_the_features_in_the_feeds_order(shape: tuple[Any, ...], kind: str, fits: bool) -> None:
    feed = feed_of(column("double", "a"), column("float", "b"))
    assert (found_between(feed, signature_of(TensorSpec(np.dtype(kind), shape))) == []) == fits


def test_the_error_names_the_first_difference_first_and_then_each_on_a_line() -> None:
    feed = feed_of(column("double", "a"), column("string", "b"))
    signature = signature_of(ColSpec(DataType.long, "a"), ColSpec(DataType.double, "b"))
    with pytest.raises(ContractError, match="'a' is double in the feed and long in the model") as caught:
        assert_contract(feed, signature, "m v1")
    first, *lines = str(caught.value).splitlines()
    assert "m v1 does not fit feed f" in first
    assert "streamscore" in first
    assert [line.split()[0] for line in lines] == ["a", "b"]
    assert caught.value.exit_code == 3


def test_a_contract_that_holds_raises_nothing() -> None:
    assert_contract(feed_of(column("double")), signature_of(ColSpec(DataType.double, "a")), "m v1")


def test_typed_features_that_the_model_wants_as_text_are_named() -> None:
    feed = feed_of(column("double", "a"), column("string", "b"), column("int", "c"))
    signature = signature_of(*(ColSpec(DataType[k], n) for n, k in (("a", "string"), ("b", "string"), ("c", "long"))))
    assert text_columns(feed, inputs_of(signature, "m v1")) == {"a"}


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ([ColSpec(DataType.double)], pa.float64()),
        ([ColSpec(DataType.float)], pa.float64()),
        ([ColSpec(DataType.integer)], pa.int64()),
        ([ColSpec(DataType.boolean)], pa.bool_()),
        ([ColSpec(DataType.string, "label")], pa.string()),
        ([ColSpec(Array(DataType.double), "p")], pa.list_(pa.float64())),
        ([TensorSpec(np.dtype("float32"), (-1,))], pa.float64()),
        ([TensorSpec(np.dtype("int64"), (-1,))], pa.int64()),
        ([TensorSpec(np.dtype("float64"), (-1, 3))], pa.list_(pa.float64())),
        ([TensorSpec(np.dtype("bool"), (-1,))], pa.bool_()),
        (
            [ColSpec(DataType.string, "label"), ColSpec(DataType.double, "p")],
            pa.struct([("label", pa.string()), ("p", pa.float64())]),
        ),
    ],
)
def test_the_prediction_takes_its_type_from_the_signature(outputs: list[Any], expected: Any) -> None:
    assert output_type(signature_of(ColSpec(DataType.double, "a"), outputs=outputs), "m v1") == expected


@pytest.mark.parametrize("signature", [None, ModelSignature(inputs=Schema([ColSpec(DataType.double, "a")]))])
def test_a_signature_without_outputs_is_refused(signature: Any) -> None:
    with pytest.raises(ContractError, match=r"m v1 says nothing of its output, .*; log it with infer_signature"):
        output_type(signature, "m v1")


ANY_TYPE = cast(Any, AnyType)()  # its constructor has no types


@pytest.mark.parametrize(
    "outputs",
    [
        [ColSpec(DataType.binary)],
        [ColSpec(DataType.datetime)],
        [ColSpec(ANY_TYPE, "x")],
        [ColSpec(DataType.double)] * 2,
        [TensorSpec(np.dtype("float64"), (-1, 2, 2))],
        [TensorSpec(np.dtype("complex128"), (-1,))],
        [TensorSpec(np.dtype("datetime64[ns]"), (-1,))],
    ],
)
def test_an_output_that_no_column_holds_is_refused_by_proposal_too(outputs: list[Any]) -> None:
    signature = signature_of(ColSpec(DataType.double, "a"), outputs=outputs)
    with pytest.raises(
        ContractError, match=r"^model m v1 answers with .*; (wrap it in a pyfunc|log it with them)"
    ) as refused:
        output_type(signature, "m v1")
    with pytest.raises(ContractError, match=f"^{re.escape(str(refused.value))}$"):
        feed_from_signature("f", signature, "models:/m@x", "m v1")


names = st.text(st.characters(codec="utf-8", categories=["L", "Nd", "P", "Zs"]), min_size=1, max_size=10)
inputs = st.lists(
    st.builds(
        ColSpec,
        st.sampled_from([DataType[t] for t in MODEL_TYPES]),
        names,
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@given(inputs)
def test_a_proposed_feed_fits_the_signature_it_came_from(specs: Any) -> None:
    signature = signature_of(*specs)
    try:
        text = feed_from_signature("proposed", signature, "models:/m@x")
    except FeedError:
        return  # two names that are one in a header
    feed = Feed.model_validate(yaml.safe_load(text))
    assert [c.name for c in feed.features] == [spec.name for spec in specs]
    assert feed.model_uri == "models:/m@x"
    assert found_between(feed, signature) == []
    assert len({c.table_name.casefold() for c in feed.features}) == len(specs)


def test_a_feed_is_proposed_from_a_tensor() -> None:
    text = feed_from_signature("t", signature_of(TensorSpec(np.dtype("float64"), (-1, 2))), "runs:/1/model")
    feed = Feed.model_validate(yaml.safe_load(text))
    assert [(c.name, c.type) for c in feed.columns] == [("x0", "double"), ("x1", "double")]


@pytest.mark.parametrize(
    ("signature", "says"),
    [
        (None, "has no signature with inputs"),
        (signature_of(ColSpec(DataType.binary, "a")), "wants 'a' as binary, which no CSV column holds"),
        (signature_of(ColSpec(Array(DataType.double), "a")), "wants 'a' as array<double>, which no CSV column holds"),
        (signature_of(ColSpec(ANY_TYPE, "a")), "wants 'a' as "),
        (signature_of(TensorSpec(np.dtype("float64"), (-1, 2, 2))), r"wants 'a tensor' of shape \(-1, 2, 2\)"),
        (
            signature_of(TensorSpec(np.dtype("float64"), (10, 2))),
            r"wants 'a tensor' of shape \(10, 2\), wanted \(-1, number of columns",
        ),
        (signature_of(TensorSpec(np.dtype("float16"), (-1, 2))), "wants 'a tensor' as float16"),
        (signature_of(TensorSpec(np.dtype("complex128"), (-1, 2), "z")), "wants 'z' as complex128"),
    ],
)
def test_what_no_csv_column_gives_is_refused_in_one_line_by_proposal_and_contract(signature: Any, says: str) -> None:
    with pytest.raises(ContractError, match=f"^model m v1 {says}.*; (log it|wrap it)") as proposed:
        feed_from_signature("f", signature, "m v1")
    with pytest.raises(ContractError) as held:
        assert_contract(feed_of(column("double", "a"), column("double", "b")), signature, "m v1")
    assert str(held.value) == str(proposed.value)


def test_differences_are_values() -> None:
    assert Difference("a", "int", None, "why") == Difference("a", "int", None, "why")


@pytest.mark.parametrize("names", [("a", "a"), ("yes", "Yes"), ("ı", "I")])
def test_outputs_that_are_one_name_in_a_table_are_refused(names: tuple[str, str]) -> None:
    outputs = Schema([ColSpec(DataType.double, name) for name in names])
    signature = ModelSignature(Schema([ColSpec(DataType.double, "x")]), outputs)
    with pytest.raises(ContractError, match=f"'{names[0]}' and '{names[1]}', which are one name in a table"):
        output_type(signature, "m v1")
    rows = Schema([ColSpec(Object([Property(name, DataType.double) for name in ("a", "A")]))])
    with pytest.raises(ContractError, match=r"'A' and 'a'|'a' and 'A'"):
        output_type(ModelSignature(Schema([ColSpec(DataType.double, "x")]), rows), "m v1")
