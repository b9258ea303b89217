"""A version of the registry, downloaded, checked against the contract and warmed up: ready to predict."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import ContractError
from schemas.feed import Column, Feed
from schemas.signature import assert_contract, output_type, text_columns
from streamscore.registry.mlflow_module import import_mlflow
from streamscore.registry.model_version import ModelVersion

if TYPE_CHECKING:  # MLflow takes seconds to import
    import pandas as pd
    from mlflow.pyfunc import PyFuncModel

TEXT = "text:"  # a column with the text of a feature exactly as it stands in the file

_ARROW = {
    "boolean": pa.bool_(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "datetime": pa.timestamp("ns"),
}


class OutputCountError(Exception):
    """The model gave another number of outputs than it got rows."""


@dataclass(frozen=True, slots=True)
class _Input:
    column: str  # in a table of rows
    name: str  # in the signature
    type: pa.DataType


@dataclass(frozen=True)
class Model:
    """What scores a micro-batch.

    Attributes:
        identity: the version, as it is written beside each prediction.
        path: the folder of the model's files.
        text_columns: original names of the typed features that the model wants as text.
        output: the type of the prediction column.
    """

    identity: ModelVersion
    path: str
    text_columns: frozenset[str]
    output: pa.DataType
    _pyfunc: "PyFuncModel"
    _inputs: tuple[_Input, ...]
    _tensor: np.dtype | None

    @property
    def name(self) -> str:
        return self.identity.name

    @property
    def version(self) -> str:
        return self.identity.version

    def predict(self, rows: pa.Table) -> pa.Array:
        """One prediction a row, of type `output`.

        Raises:
            OutputCountError: another number of outputs than rows.
            Exception: whatever the model raises.
        """
        if self._tensor is not None:
            answer = self._pyfunc.predict(np.column_stack([rows[i.column].to_numpy() for i in self._inputs]))
        else:
            answer = self._pyfunc.predict(self._frame(rows))
        predictions = to_arrow(answer, self.output)
        if len(predictions) != rows.num_rows:
            msg = f"{len(predictions)} outputs for {rows.num_rows} rows"
            raise OutputCountError(msg)
        return predictions

    def _frame(self, rows: pa.Table) -> "pd.DataFrame":
        columns = [
            rows[i.column].cast(i.type) if rows[i.column].type != i.type else rows[i.column] for i in self._inputs
        ]
        return pa.table(columns, [i.name for i in self._inputs]).to_pandas()


def load_model(path: Path, feed: Feed, identity: ModelVersion) -> Model:
    """Load a downloaded version, hold it against the feed's contract, and predict one row with it.

    Raises:
        ContractError: signature, output or warm-up do not fit the feed.
        Exception: whatever loading raises.
    """
    import_mlflow()
    import mlflow.pyfunc

    pyfunc = mlflow.pyfunc.load_model(str(path))
    signature = pyfunc.metadata.signature
    assert_contract(feed, signature, identity.title, pyfunc.metadata.metadata)
    text = text_columns(feed, signature)
    tensor = signature.inputs.inputs[0].type if signature.inputs.is_tensor_spec() else None
    inputs = _tensor_inputs(feed) if tensor is not None else _inputs(feed, signature, text)
    output = output_type(signature)
    model = Model(identity, str(path), text, output or pa.float64(), pyfunc, inputs, tensor)
    if output is None:
        msg = (
            f"model {identity.title} says nothing of its output, wanted a signature with outputs; "
            f"log it with infer_signature(inputs, predictions)"
        )
        raise ContractError(msg)
    _warm_up(model, feed)
    return model


def to_arrow(answer: Any, output: pa.DataType) -> pa.Array:
    """What a pyfunc returns (array, frame, series, list, dict of arrays) as one Arrow array of the output's type."""
    import pandas as pd

    if isinstance(answer, pd.DataFrame):
        answer = {column: answer[column] for column in answer.columns}
    if isinstance(answer, Mapping):
        if pa.types.is_struct(output):
            fields = [output.field(i) for i in range(output.num_fields)]
            return pa.StructArray.from_arrays([to_arrow(answer[f.name], f.type) for f in fields], fields=fields)
        (answer,) = answer.values()
    if isinstance(answer, np.ndarray) and answer.ndim == 2:
        answer = list(answer) if pa.types.is_list(output) else answer.reshape(len(answer), -1)[:, 0]
    values = pa.array(answer, from_pandas=True)
    return values if values.type == output else values.cast(output)


def null_or_nan(values: pa.Array) -> pa.Array:
    """Which values are null, NaN, or hold one of them: booleans."""
    if pa.types.is_struct(values.type):
        bad = values.is_null()
        for field in values.flatten():
            bad = pc.or_(bad, null_or_nan(field))
        return bad
    if pa.types.is_list(values.type):
        inner = null_or_nan(values.flatten())
        hit = pc.unique(pc.filter(pc.list_parent_indices(values), inner))
        return pc.or_(values.is_null(), pc.is_in(pa.array(range(len(values)), pa.int64()), hit.cast(pa.int64())))
    return values.is_null(nan_is_null=pa.types.is_floating(values.type))


def _inputs(feed: Feed, signature: Any, text: frozenset[str]) -> tuple[_Input, ...]:
    columns = {c.name: c for c in feed.features}
    return tuple(
        _Input(
            TEXT + spec.name if spec.name in text else columns[spec.name].table_name, spec.name, _ARROW[spec.type.name]
        )
        for spec in signature.inputs.inputs
        if spec.name in columns
    )


def _tensor_inputs(feed: Feed) -> tuple[_Input, ...]:
    return tuple(_Input(c.table_name, c.name, c.arrow_type) for c in feed.features)


def _warm_up(model: Model, feed: Feed) -> None:
    """Predict the model's own input example, or where it has none a made-up row."""
    metadata = model._pyfunc.metadata
    try:
        if metadata.saved_input_example_info:
            to_arrow(model._pyfunc.predict(metadata.load_input_example(model.path)), model.output)
        else:
            model.predict(probe(feed, model.text_columns))
    except Exception as error:
        msg = (
            f"model {model.identity.title} cannot predict its example for feed {feed.name}: "
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}; try it: "
            f"mlflow.pyfunc.load_model('models:/{model.name}/{model.version}')"
        )
        raise ContractError(msg) from error


def probe(feed: Feed, text: frozenset[str] = frozenset()) -> pa.Table:
    """One made-up row of the feed's features: the middle of each range, the first of the allowed values."""
    columns: dict[str, pa.Array] = {}
    for column in feed.features:
        value = probe_value(column)
        columns[column.table_name] = pa.array([value]).cast(column.arrow_type)
        if column.name in text:
            columns[TEXT + column.name] = pa.array([str(value)])
    return pa.table(columns)


def probe_value(column: Column) -> Any:
    """A made-up value of a column, as JSON has it."""
    if column.allowed:
        return column.allowed[0]
    low = column.min if column.min is not None else 0.0
    high = column.max if column.max is not None else low + 2.0
    middle = (low + high) / 2
    return {
        "string": "1",
        "boolean": True,
        "int": math.floor(middle),
        "long": math.floor(middle),
        "float": middle,
        "double": middle,
        "date": "2000-01-01",
        "timestamp": "2000-01-01T00:00:00Z",
    }[column.type]
