"""What an inference request of V2 says, or why it is refused; no body makes reading it fail."""

import base64
import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.serving.requests.contract import Inputs, inputs_of
from jobs.serving.requests.problems import RequestError
from jobs.serving.requests.v2_request import V2Request, read_v2_request
from jobs.serving.requests.values import typed
from tests.support.code_models import missing_signature, scaled_signature
from tests.support.json_values import json_values, spoiled

X = {"name": "x", "shape": [2], "datatype": "FP64", "data": [1, 2]}


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return inputs_of(scaled_signature(), "scaled v1", None)


def read(value: Any, inputs: Inputs, binary: bytes = b"") -> V2Request:
    head = json.dumps(value).encode()
    return read_v2_request(head + binary, len(head), inputs)


@pytest.mark.parametrize(
    ("shape", "data"),
    [([2], [1, 2]), ([2, 1], [1, 2]), ([2, 1], [[1], [2]]), ([2], [[1, 2]])],
)
def test_a_column_is_a_list_or_a_table_of_one_column(inputs: Inputs, shape: list[int], data: list[Any]) -> None:
    rows = read({"inputs": [X | {"shape": shape, "data": data}]}, inputs).asked.rows
    assert rows.columns == {"x": [1, 2]}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "wanted an object"),
        ({}, "a list 'inputs'"),
        ({"inputs": {}}, "a list 'inputs'"),
        ({"inputs": ["x"]}, "an input has no name"),
        ({"inputs": [X | {"shape": [3]}]}, "2 values, its shape"),
        ({"inputs": [X | {"shape": [-1, 16]}]}, "has shape"),
        ({"inputs": [X | {"shape": [2**62, 2**62]}]}, "2 values, its shape"),
        ({"inputs": [X | {"shape": "2"}]}, "has shape"),
        ({"inputs": [X | {"shape": [1] * 100}]}, "has shape"),
        ({"inputs": [X | {"datatype": "fp64"}]}, "has datatype"),
        ({"inputs": [X | {"datatype": ["FP64"]}]}, "has datatype"),
        ({"inputs": [X | {"data": 5}]}, "no list 'data'"),
        ({"inputs": [X | {"data": [[[[1]]]], "shape": [1]}]}, None),
        ({"inputs": [X | {"parameters": [1]}]}, "are no object"),
        ({"inputs": [X | {"parameters": {"binary_data_size": -1}}]}, "binary_data_size"),
        ({"inputs": [X, X]}, "twice"),
        ({"inputs": [X], "parameters": [1]}, "are no object"),
        ({"inputs": [X], "parameters": {"factor": "3"}}, "param 'factor'"),
        ({"inputs": [X], "parameters": {"binary_data_output": 1}}, "wanted true or false"),
        ({"inputs": [X], "outputs": "predict"}, "outputs is no list"),
        ({"inputs": [X], "outputs": [5]}, "has no name"),
        ({"inputs": [X], "outputs": [{"name": "predict"}] * 2}, "that of another"),
        ({"inputs": [X], "outputs": [{"name": "predict", "parameters": "x"}]}, "are no object"),
        ({"inputs": [X], "id": 5}, "id is no text"),
        ({"inputs": [X], "parameters": {"timeout": "5"}}, "timeout is '5'"),
        ({"inputs": [X], "parameters": {"timeout": -1}}, "timeout is -1"),
        ({"inputs": [X], "parameters": {"timeout": True}}, "timeout is True"),
        ({"inputs": [X], "parameters": {"timeout": 1.5}}, "timeout is 1.5"),
    ],
)
def test_a_field_of_another_type_is_refused(inputs: Inputs, value: Any, said: str | None) -> None:
    if said is None:  # its values are refused with their row
        assert typed([read(value, inputs).asked.rows], inputs, frozenset())[1]  # type: ignore[list-item]
        return
    with pytest.raises(RequestError, match=said) as refused:
        read(value, inputs)
    assert refused.value.status == 400


def test_data_nested_deep_costs_no_more_than_reading_it(inputs: Inputs) -> None:
    data: Any = [1] * 200_000
    for _ in range(900):
        data = [data]
    with pytest.raises(RequestError, match="values, its shape"):
        read({"inputs": [X | {"data": data}]}, inputs)


def test_what_is_wanted_is_named(inputs: Inputs) -> None:
    asked = {"inputs": [X], "id": "7", "outputs": [{"name": "predict", "parameters": {"binary_data": True}}]}
    found = read(asked, inputs)
    assert (found.identity, found.wanted(["predict"])) == ("7", {"predict": True})
    every = read({"inputs": [X], "parameters": {"binary_data_output": True, "factor": 2}}, inputs)
    assert (every.wanted(["a", "b"]), every.asked.params.values) == ({"a": True, "b": True}, {"factor": 2.0})
    with pytest.raises(RequestError, match="no output 'predict'"):
        found.wanted(["other"])


@pytest.mark.parametrize(("timeout", "seconds"), [(1, 1e-6), (2_000_000, 2.0), (0, None), (None, None)])
def test_tritons_timeout_is_of_microseconds(inputs: Inputs, timeout: int | None, seconds: float | None) -> None:
    assert read({"inputs": [X], "parameters": {"timeout": timeout}}, inputs).seconds == seconds


def test_text_in_base64_is_text() -> None:
    wants = inputs_of(missing_signature(), "m v1", None)
    text = {"name": "string", "shape": [1], "datatype": "BYTES", "parameters": {"content_type": "base64"}}
    found = read({"inputs": [text | {"data": [base64.b64encode("é".encode()).decode()]}]}, wants).asked.rows
    assert found.columns == {"string": ["é"]}  # type: ignore[union-attr]
    for wrong in ("é", "abc", base64.b64encode(b"\xff").decode()):
        with pytest.raises(RequestError, match="no base64"):
            read({"inputs": [text | {"data": [wrong]}]}, wants)


def read_or_refuse(value: Any, inputs: Inputs, binary: bytes = b"") -> None:
    with contextlib.suppress(RequestError):
        found = read(value, inputs, binary)
        found.wanted(["predict"])
        typed([found.asked.rows], inputs, frozenset())  # type: ignore[list-item]


@settings(deadline=None, max_examples=150)
@given(value=json_values(), data=st.data())
def test_no_json_makes_reading_fail(inputs: Inputs, value: Any, data: st.DataObject) -> None:
    read_or_refuse(value, inputs)
    whole = {"inputs": [X], "outputs": [{"name": "predict", "parameters": {"binary_data": True}}]}
    read_or_refuse(data.draw(spoiled(whole | {"parameters": {"factor": 1}, "id": "1"})), inputs)


@settings(deadline=None, max_examples=100)
@given(data=st.binary(max_size=40), size=st.integers(0, 40), kind=st.sampled_from(["FP64", "BYTES", "FP16", "BOOL"]))
def test_no_binary_data_make_reading_fail(inputs: Inputs, data: bytes, size: int, kind: str) -> None:
    count = size // (np.dtype("f8").itemsize if kind == "FP64" else 2)
    tensor = {"name": "x", "shape": [count], "datatype": kind, "parameters": {"binary_data_size": size}}
    read_or_refuse({"inputs": [tensor]}, inputs, data)
