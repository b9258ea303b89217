"""A version of the registry, downloaded, checked against the contract and warmed up: ready to predict."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from schemas.errors import ContractError
from schemas.feed import Column, Feed
from schemas.model_inputs import ModelInput, ModelInputs, Tensor, inputs_of
from schemas.signature import assert_contract, text_columns
from streamscore.models.answers import AnswerError, Output, OutputCountError, match_answer
from streamscore.models.example import TEXT, example_rows, probe
from streamscore.registry.missing_text import MISSING, NONE, mark_missing
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.pyfunc import Pyfunc, load_pyfunc

if TYPE_CHECKING:  # MLflow takes seconds to import
    import pandas as pd
    from mlflow.models import ModelSignature


@dataclass(frozen=True, slots=True)
class _Input:
    column: str  # in a table of rows
    label: Any  # in what the model gets
    type: pa.DataType
    is_whole: bool  # numbers of which one may be missing


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
    _tensors: tuple[Tensor, ...]

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

    def with_params(self, params: Mapping[str, Any]) -> "Model":
        """The same model, asked with params of its signature instead of their defaults; itself if there are none."""
        if not params:
            return self
        calls = self._pyfunc.predict, self._pyfunc.predict_unchecked
        predict, unchecked = (functools.partial(call, params=dict(params)) for call in calls)
        asked = replace(self._pyfunc, predict=predict, predict_promised=predict, predict_unchecked=unchecked)
        return replace(self, _pyfunc=asked)

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
        if self._tensors:
            return self._pyfunc.predict(self._arrays(rows))
        if any(i.is_whole and rows[i.column].null_count for i in self._inputs):
            return self._pyfunc.predict_unchecked(self._frame(rows))
        return self._pyfunc.predict_promised(self._frame(rows))

    @property
    def signature(self) -> "ModelSignature":
        """The version's."""
        return self._pyfunc.metadata.signature

    def example(self) -> Any:
        """The version's input example as MLflow loads it; None if it has none, or one that MLflow cannot load."""
        from mlflow.exceptions import MlflowException

        metadata = self._pyfunc.metadata
        try:
            return metadata.load_input_example(self.path) if metadata.saved_input_example_info else None
        except MlflowException:  # of whole numbers of which one is missing it writes what it does not read
            return None

    def predict_example(self, example: Any) -> pa.Array:
        """The same for rows as the model takes them: an input example, of which JSON does not tell None from NaN."""
        import pandas as pd

        missing = self._pyfunc.missing_text
        if isinstance(example, pd.DataFrame):
            example = example.reset_index(drop=True)
            mark_missing(example, [i.label for i in self._inputs if pa.types.is_string(i.type)], missing)
        return match_answer(self._pyfunc.predict(example), self._output, _rows_of(example))

    def _columns(self, rows: pa.Table) -> list[pa.ChunkedArray]:
        """What the inputs are in these rows, in the types that the contract promised."""
        found = [rows[i.column] for i in self._inputs]
        return [c if c.type == i.type else c.cast(i.type) for c, i in zip(found, self._inputs, strict=True)]

    def _frame(self, rows: pa.Table) -> "pd.DataFrame":
        columns = self._columns(rows)
        if self._is_of_doubles:  # 20 µs where Arrow takes 200; the same block in memory
            import pandas as pd

            block = np.empty((len(columns), rows.num_rows))
            for at, column in enumerate(columns):
                block[at] = column.to_numpy()
            return pd.DataFrame(block.T, columns=self._labels, copy=False)
        frame = pa.table(columns, [str(i.label) for i in self._inputs]).to_pandas()
        if not self._has_text_labels:
            frame.columns = [i.label for i in self._inputs]
        for one, column in zip(self._inputs, columns, strict=True):
            if column.null_count and self.signature._is_signature_from_type_hint:  # Optional[int] knows None alone
                frame[one.label] = _objects(column)
            elif column.null_count and one.is_whole:  # it would be of floats
                frame[one.label] = column.to_pandas(types_mapper=_nullable)
        if (missing := self._pyfunc.missing_text) != NONE:  # as Arrow has it
            pairs = zip(self._inputs, columns, strict=True)
            mark_missing(frame, [i.label for i, c in pairs if pa.types.is_string(c.type) and c.null_count], missing)
        return frame

    def _arrays(self, rows: pa.Table) -> Any:
        """The tensors by their names; one without a name alone."""
        columns, arrays = self._columns(rows), {}
        for tensor in self._tensors:
            mine = [self._array(columns[at]).astype(tensor.dtype, copy=False) for at in tensor.columns]
            arrays[tensor.name] = mine[0] if tensor.is_flat else np.column_stack(mine)
        return arrays.get(None, arrays)

    def _array(self, column: pa.ChunkedArray) -> "np.ndarray[Any, Any]":
        values = column.to_numpy()
        if column.null_count and pa.types.is_string(column.type):
            values = np.where(column.is_null().to_numpy(), MISSING[self._pyfunc.missing_text], values)
        return values

    @functools.cached_property
    def _is_of_doubles(self) -> bool:
        return all(pa.types.is_float64(i.type) for i in self._inputs)

    @functools.cached_property
    def _labels(self) -> "pd.Index[Any]":
        import pandas as pd

        return pd.Index([i.label for i in self._inputs])

    @functools.cached_property
    def _has_text_labels(self) -> bool:
        return all(isinstance(i.label, str) for i in self._inputs)


def _objects(column: pa.ChunkedArray) -> "pd.Series[Any]":
    import pandas as pd

    return pd.Series(column.to_pylist(), dtype=object)  # without it pandas makes NaT of None


def _nullable(kind: pa.DataType) -> Any:
    """Pandas' type of whole numbers some of which are missing."""
    import pandas as pd

    return pd.Int32Dtype() if pa.types.is_int32(kind) else pd.Int64Dtype()


def load_model(path: Path, feed: Feed, identity: ModelVersion) -> Model:
    """Load a downloaded version, hold it against the feed's contract, and predict its example and a row of the feed.

    Raises:
        ContractError: signature, output or warm-up do not fit the feed.
        Exception: whatever loading raises.
    """
    pyfunc = load_pyfunc(path)
    signature = pyfunc.metadata.signature
    assert_contract(feed, signature, identity.title, pyfunc.metadata.metadata)
    wanted = inputs_of(signature, identity.title, len(feed.features))
    text = text_columns(feed, wanted)
    inputs = tuple(_input(column, one, text) for column, one in wanted.paired(feed.features) if column)
    output = Output.of(signature, identity.title)
    model = Model(identity, str(path), text, output, pyfunc, inputs, wanted.tensors)
    _warm_up(model, feed, wanted)
    return model


def _input(column: Column, one: ModelInput, text: frozenset[str]) -> _Input:
    label = column.name if one.label is None else one.label
    kind = one.type.arrow or column.arrow_type
    name = TEXT + column.name if column.name in text else column.table_name
    return _Input(name, label, kind, one.type.holds_null and pa.types.is_integer(kind))


def _warm_up(model: Model, feed: Feed, wanted: ModelInputs) -> None:
    """Predict the model's own input example, the same as rows of the feed; where it has none, a made-up one.

    Of a single row two are asked: some models have one answer for all rows.
    """
    example = model.example()
    if example is None:
        row = probe(feed, model.text_columns)
        _try(model, feed, "a made-up row", lambda: model.predict(pa.concat_tables([row, row])))
        return
    _try(model, feed, "its example", lambda: model.predict_example(example))
    rows = example_rows(example, feed, wanted)
    if rows.num_rows:
        rows = pa.concat_tables([rows, rows]) if rows.num_rows == 1 else rows
        _try(model, feed, "its example as the rows of a file", lambda: model.predict(rows))


def _try(model: Model, feed: Feed, what: str, predict: Callable[[], object]) -> None:
    try:
        predict()
    except Exception as error:
        if isinstance(error, OutputCountError) and error.found > 1:  # it leaves out rows, which the stream can bear
            return
        said = str(error).splitlines()[0] if str(error) else ""
        told = f"it answers {said}" if isinstance(error, AnswerError) else f"{type(error).__name__}: {said}"
        for_feed = f" for feed {feed.name}" if feed.name else ""
        msg = f"model {model.identity.title} cannot predict {what}{for_feed}: {told}; try it: {model.identity.try_it}"
        raise ContractError(msg) from error


def _rows_of(example: Any) -> int:
    """The rows of an input example; of a dict the length of its columns."""
    if isinstance(example, Mapping):
        example = next(iter(example.values()), ())
    if shape := getattr(example, "shape", None):  # a sparse array has no length
        return int(shape[0])
    return 1 if isinstance(example, str) or not hasattr(example, "__len__") else len(example)
