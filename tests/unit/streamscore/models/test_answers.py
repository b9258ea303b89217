"""Answers of every shape: matched with the rows, or refused."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from streamscore.models.answers import AnswerError, Output, OutputCountError, match_answer, null_or_nan

ONE = Output(pa.float64())
NAMED = Output(pa.float64(), "p")
PAIR = Output(pa.list_(pa.float64()), width=2)
STRUCT = Output(pa.struct([("low", pa.float64()), ("high", pa.float64())]))
ROWS = [10.0, 20.0, 30.0]


@pytest.mark.parametrize("output", [ONE, NAMED, PAIR, STRUCT])
@given(order=st.permutations(range(3)))
def test_an_index_of_the_rows_decides_whatever_order_the_model_gave(output: Output, order: list[int]) -> None:
    frame = pd.DataFrame({"low": ROWS, "high": [1.0, 2.0, 3.0]}).iloc[list(order)]
    given: Any = {ONE: frame.low, NAMED: {"p": frame.low}}.get(output, frame)
    wanted = {ONE: ROWS, NAMED: ROWS, PAIR: [[10, 1], [20, 2], [30, 3]]}.get(output)
    rows = [{"low": low, "high": high} for low, high in zip(ROWS, [1.0, 2.0, 3.0], strict=True)]
    assert match_answer(given, output, 3).to_pylist() == (wanted or rows)


@pytest.mark.parametrize(
    "index",
    [[5, 6, 7], [0, 1, 1], ["a", "b", "c"], [0.0, 1.0, 2.0], pd.RangeIndex(1, 4), pd.Index([2, 1, 0], name="id")],
    ids=["other numbers", "twice", "text", "fractions", "shifted", "named"],
)
def test_an_index_of_other_rows_is_refused(index: Any) -> None:
    with pytest.raises(AnswerError, match="wanted that of the rows it got"):
        match_answer(pd.Series(ROWS, index=index), ONE, 3)


@pytest.mark.parametrize(
    ("answer", "output", "says"),
    [
        (np.ones((3, 2)), ONE, r"shape \(3, 2\), the signature says one double a row"),
        (np.ones((3, 1, 1)), ONE, r"shape \(3, 1, 1\)"),
        (np.ones((3, 3)), PAIR, r"shape \(3, 3\), the signature says \(rows, 2\)"),
        (np.ones(3), PAIR, r"shape \(3,\), the signature says \(rows, 2\)"),
        (np.ones((3, 2)), STRUCT, r"shape \(3, 2\)"),
        (np.array(5.0), ONE, r"shape \(\)"),
        (5.0, ONE, "one float, wanted an answer a row"),
        ("abc", Output(pa.string()), "one str, wanted an answer a row"),
        (None, ONE, "one NoneType"),
        ({30.0, 20.0, 10.0}, ONE, "a set, wanted answers in the order of the rows"),
        ({"a": ROWS, "b": ROWS}, ONE, "columns a, b, wanted one"),
        (pd.DataFrame({"a": ROWS, "b": ROWS}), NAMED, "columns a, b, wanted 'p'"),
        (pd.DataFrame({"low": ROWS}), STRUCT, "columns low, wanted 'high'"),
        (pd.DataFrame(np.ones((3, 2)), columns=["p", "p"]), NAMED, "some have one name"),
    ],
)
def test_another_shape_than_the_signature_says_is_refused(answer: Any, output: Output, says: str) -> None:
    with pytest.raises(AnswerError, match=says):
        match_answer(answer, output, 3)


@pytest.mark.parametrize(
    "answer",
    [np.array([20.0]), pd.Series([20.0]), [20.0], {"p": [20.0]}, pd.Series([10.0], index=[2]), np.ones((1, 1))],
)
def test_one_answer_for_three_rows_is_no_answer(answer: Any) -> None:
    with pytest.raises(OutputCountError, match="1 outputs for 3 rows") as error:
        match_answer(answer, ONE, 3)
    assert error.value.found == 1


def test_the_named_output_is_found_among_others() -> None:
    assert match_answer(pd.DataFrame({"q": [1.0], "p": [2.0]}), NAMED, 1).to_pylist() == [2.0]
    assert match_answer({"only": np.array([3.0])}, NAMED, 1).to_pylist() == [3.0]


def test_a_column_of_one_is_one_value_a_row() -> None:
    assert match_answer(np.array([[1.0], [2.0]]), ONE, 2).to_pylist() == [1.0, 2.0]


def test_an_array_of_another_length_is_that_row_s_bad_prediction() -> None:
    matched = match_answer([[1.0, 2.0], [3.0]], PAIR, 2)
    assert null_or_nan(matched).to_pylist() == [False, True]


def test_what_is_masked_is_no_answer() -> None:
    masked = np.ma.masked_array([[10.0, 1.0], [20.0, 2.0]], mask=[[False, False], [True, False]])
    assert match_answer(masked, PAIR, 2).to_pylist() == [[10.0, 1.0], [None, 2.0]]
    assert match_answer(masked[:, 0], ONE, 2).to_pylist() == [10.0, None]
    assert match_answer(masked[:, :1], ONE, 2).to_pylist() == [10.0, None]


def test_a_probability_is_not_true() -> None:
    assert match_answer(np.array([0.0, 1.0, np.nan]), Output(pa.bool_()), 3).to_pylist() == [False, True, None]
    for numbers in ([0.0, 0.1], [0, 2]):
        with pytest.raises(pa.ArrowInvalid, match="other than 0 and 1"):
            match_answer(np.array(numbers), Output(pa.bool_()), 2)


@pytest.mark.parametrize(
    ("answer", "output"),
    [
        (np.array(ROWS).astype(">f8"), ONE),
        (pd.Series(np.array(ROWS).astype(">f4")), ONE),
        (np.array([ROWS]).T.view(np.matrix), ONE),
        (scipy.sparse.csr_matrix(np.array([ROWS]).T), ONE),
        (np.array(ROWS).astype(">i4"), Output(pa.int64())),
        (np.array(ROWS), Output(pa.int64())),
        (pd.Series(ROWS, dtype="Float64"), ONE),
        (pd.Series(pd.Categorical(ROWS)), ONE),
        (np.array(ROWS, "float16"), ONE),
    ],
)
def test_what_numpy_and_scipy_take_for_the_same_numbers_is_taken(answer: Any, output: Output) -> None:
    assert match_answer(answer, output, 3).to_pylist() == ROWS


@pytest.mark.parametrize(
    "wide", [np.array([[1, 2]]).view(np.matrix), scipy.sparse.csr_matrix([[1, 2]]), np.array([[1, 2]], ">f8")]
)
def test_rows_of_them_are_arrays(wide: Any) -> None:
    assert match_answer(wide, PAIR, 1).to_pylist() == [[1, 2]]


@pytest.mark.parametrize(
    ("answer", "output"),
    [
        (["1.5"], ONE),
        ([1.5], Output(pa.string())),
        ([True], Output(pa.string())),
        (["true"], Output(pa.bool_())),
        (np.array([1], "m8[s]"), ONE),
        (np.array([1], "M8[s]"), Output(pa.int64())),
        ([[1.0, 2.0]], ONE),
        ([["1", "2"]], PAIR),
        ([{"low": "1", "high": 2.0}], STRUCT),
    ],
)
def test_values_of_another_kind_than_the_signature_says_are_refused(answer: Any, output: Output) -> None:
    with pytest.raises(AnswerError, match=r"values of type .*, the signature says"):
        match_answer(answer, output, 1)


def test_a_fraction_for_a_whole_number_is_an_error_of_its_row() -> None:
    with pytest.raises(pa.ArrowInvalid, match=r"2\.5, the signature says a whole number; log it with infer_signature"):
        match_answer([1.0, 2.5, None], Output(pa.int64()), 3)
