"""A version of the registry, downloaded, checked against the contract and warmed up: ready to predict."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from schemas.errors import ContractError
from schemas.feed import Column, Feed
from schemas.signature import assert_contract, text_columns
from streamscore.models.answers import Output, OutputCountError, match_answer
from streamscore.registry.missing_text import NONE, mark_missing
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.pyfunc import Pyfunc, load_pyfunc

if TYPE_CHECKING:  # MLflow takes seconds to import
    import pandas as pd

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
    """

    identity: ModelVersion
    path: str
    text_columns: frozenset[str]
    _output: Output
    _pyfunc: Pyfunc
    _inputs: tuple[_Input, ...]
    _tensor: np.dtype | None

    @property
    def name(self) -> str:
        return self.identity.name

    @property
    def version(self) -> str:
        return self.identity.version

    @property
    def output(self) -> pa.DataType:
        """The type of the prediction column."""
        return self._output.type

    def memory(self) -> int:
        """Measures the bytes that it takes."""
        return self._pyfunc.memory()

    def predict(self, rows: pa.Table) -> pa.Array:
        """One prediction a row, of type `output`.

        Raises:
            OutputCountError: another number of outputs than rows.
            AnswerError: outputs that are not what the signature says, or not of these rows.
            RegistryError: the model is in a process of its own, which does not start again.
            Exception: whatever the model raises.
        """
        return match_answer(self.answer(rows), self._output, rows.num_rows)

    def answer(self, rows: pa.Table) -> Any:
        """What the model itself says: an array, a frame, a series or a list."""
        if self._tensor is not None:
            return self._pyfunc.predict(np.column_stack([rows[i.column].to_numpy() for i in self._inputs]))
        return self._pyfunc.predict(self._frame(rows))

    def predict_example(self, example: Any) -> pa.Array:
        """The same for rows as the model takes them: an input example, of which JSON does not tell None from NaN."""
        import pandas as pd

        missing = self._pyfunc.missing_text
        if isinstance(example, pd.DataFrame):
            example = example.reset_index(drop=True)
            mark_missing(example, [i.name for i in self._inputs if pa.types.is_string(i.type)], missing)
        return match_answer(self._pyfunc.predict(example), self._output, _rows_of(example))

    def _frame(self, rows: pa.Table) -> "pd.DataFrame":
        columns = [
            rows[i.column].cast(i.type) if rows[i.column].type != i.type else rows[i.column] for i in self._inputs
        ]
        frame = pa.table(columns, [i.name for i in self._inputs]).to_pandas()
        if (missing := self._pyfunc.missing_text) != NONE:  # as Arrow has it
            pairs = zip(self._inputs, columns, strict=True)
            mark_missing(frame, [i.name for i, c in pairs if pa.types.is_string(c.type) and c.null_count], missing)
        return frame


def load_model(path: Path, feed: Feed, identity: ModelVersion) -> Model:
    """Load a downloaded version, hold it against the feed's contract, and predict one row with it.

    Raises:
        ContractError: signature, output or warm-up do not fit the feed.
        Exception: whatever loading raises.
    """
    pyfunc = load_pyfunc(path)
    signature = pyfunc.metadata.signature
    assert_contract(feed, signature, identity.title, pyfunc.metadata.metadata)
    text = text_columns(feed, signature)
    tensor = signature.inputs.inputs[0].type if signature.inputs.is_tensor_spec() else None
    inputs = _tensor_inputs(feed) if tensor is not None else _inputs(feed, signature, text)
    output = Output.of(signature)
    if output is None:
        msg = (
            f"model {identity.title} says nothing of its output, wanted a signature with outputs; "
            f"log it with infer_signature(inputs, predictions)"
        )
        raise ContractError(msg)
    model = Model(identity, str(path), text, output, pyfunc, inputs, tensor)
    _warm_up(model, feed)
    return model


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
            model.predict_example(metadata.load_input_example(model.path))
        else:
            model.predict(probe(feed, model.text_columns))
    except Exception as error:
        if isinstance(error, OutputCountError) and error.found > 1:  # it leaves out rows, which the stream can bear
            return
        msg = (
            f"model {model.identity.title} cannot predict its example for feed {feed.name}: "
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}; try it: "
            f"{model.identity.try_it}"
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


def _rows_of(example: Any) -> int:
    """The rows of an input example; of a dict the length of its columns."""
    if isinstance(example, Mapping):
        example = next(iter(example.values()), ())
    return 1 if isinstance(example, str) or not hasattr(example, "__len__") else len(example)
