"""What a request for predictions says, or why it is refused; no body makes reading it fail."""

import contextlib
import io
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.serving.requests.body import Body
from jobs.serving.requests.columnar import MOST_ROWS, PARQUET
from jobs.serving.requests.contract import Inputs, inputs_of
from jobs.serving.requests.problems import RequestError
from jobs.serving.requests.rows_request import read_rows_request
from jobs.serving.requests.values import typed
from tests.support.code_models import missing_signature, scaled_signature
from tests.support.json_values import json_values, spoiled

KINDS = ["application/json", "text/csv", "application/vnd.apache.parquet", "application/vnd.apache.arrow.stream", ""]


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return inputs_of(scaled_signature(), "scaled v1", None)


def read(value: Any, inputs: Inputs, ignores: bool = False) -> Any:
    return read_rows_request(Body(json.dumps(value).encode(), "application/json"), inputs, frozenset(), ignores)


def test_params_are_typed_by_the_signature(inputs: Inputs) -> None:
    given_params = {"factor": 3, "weights": [1, 2], "since": "2024-01-01T01:00:00+01:00", "limit": 4}
    asked, ignored = read({"inputs": {"x": [1]}, "params": given_params}, inputs)
    assert ignored == ()
    values = asked.params.values
    assert (values["factor"], type(values["factor"]), values["weights"], values["limit"]) == (3.0, float, [1, 2], 4)
    assert values["since"].isoformat() == "2024-01-01T00:00:00"


def test_requests_with_the_same_params_may_be_answered_together(inputs: Inputs) -> None:
    def text(**params: Any) -> bytes:
        return bytes(read({"inputs": {"x": [1]}, "params": params}, inputs)[0].params.text)

    assert text(factor=3, limit=4) == text(limit=4, factor=3) != text(factor=3)
    assert read({"inputs": {"x": [1]}}, inputs)[0].params.text == text() == b""


def test_what_nobody_reads_is_told_or_refused(inputs: Inputs) -> None:
    body = {"inputs": {"x": [1]}, "client_request_id": "7", "params": {"faktor": 1}}
    asked, ignored = read(body, inputs, ignores=True)
    assert (ignored, asked.params.values) == (("client_request_id", "params.faktor"), {})
    with pytest.raises(RequestError, match="found 'client_request_id'"):
        read(body, inputs)
    for slip in ("param", "parameters", "Params", "input"):
        with pytest.raises(RequestError, match="did you mean"):
            read({"inputs": {"x": [1]}, slip: {}}, inputs, ignores=True)


@pytest.mark.parametrize("column", ["string", "datetime"])
def test_a_null_is_refused_where_the_signature_wants_a_value(column: str) -> None:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    signature = ModelSignature(Schema([ColSpec(column, "x")]), Schema([ColSpec("double", "predict")]))
    wants = inputs_of(signature, "m v1", None)
    assert [c.nullable for c in wants.feed.columns] == [False]
    with pytest.raises(RequestError, match="missing_column"):
        read({"dataframe_records": [{}]}, wants)


def test_csv_of_times_is_read_and_text_that_looks_like_a_time_stays_as_it_is() -> None:
    wants = inputs_of(missing_signature(), "m v1", None)
    body = Body(b"datetime,string\n2024-01-01 00:00:00,2024-01-01\n2024-01-02,1.50\n", "text/csv")
    asked, _ = read_rows_request(body, wants, frozenset())
    table = asked.rows.rows.table  # type: ignore[union-attr]
    assert table["input:string"].to_pylist() == ["2024-01-01", "1.50"]
    assert [str(time)[:10] for time in table["input:datetime"].to_pylist()] == ["2024-01-01", "2024-01-02"]
    asked, _ = read({"inputs": {"string": ["2024-01-01", "1.50"]}}, wants)
    assert typed([asked.rows], wants, frozenset())[0].table["input:string"].to_pylist() == ["2024-01-01", "1.50"]


def read_or_refuse(body: Body, inputs: Inputs) -> None:
    with contextlib.suppress(RequestError):
        asked, _ = read_rows_request(body, inputs, frozenset(), ignores=True)
        if not hasattr(asked.rows, "rows"):
            typed([asked.rows], inputs, frozenset())


@settings(deadline=None, max_examples=150)
@given(value=json_values(), data=st.data())
def test_no_json_makes_reading_fail(inputs: Inputs, value: Any, data: st.DataObject) -> None:
    read_or_refuse(Body(json.dumps(value).encode(), "application/json"), inputs)
    whole = {"dataframe_split": {"columns": ["x"], "data": [[1], [2]]}, "params": {"factor": 1, "weights": [1]}}
    read_or_refuse(Body(json.dumps(data.draw(spoiled(whole))).encode(), "application/json"), inputs)


@settings(deadline=None, max_examples=100)
@given(data=st.binary(max_size=200), kind=st.sampled_from(KINDS))
def test_no_bytes_make_reading_fail(inputs: Inputs, data: bytes, kind: str) -> None:
    read_or_refuse(Body(data, kind), inputs)


def test_a_small_parquet_file_of_very_many_rows_is_refused_unread(inputs: Inputs) -> None:
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, pa.schema([("x", pa.int64())])) as writer:
        writer.write_table(pa.table({"x": np.zeros(MOST_ROWS + 1, np.int64)}))
    assert sink.tell() < 2**16
    with pytest.raises(RequestError) as error:
        read_rows_request(Body(sink.getvalue(), PARQUET), inputs, frozenset())
    assert error.value.status == 413
