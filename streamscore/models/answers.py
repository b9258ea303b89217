"""What a model answers, held against its signature and the rows that it was asked about.

An answer that may belong to other rows is refused: no value is taken by its place where the model says otherwise.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.signature import output_type

if TYPE_CHECKING:  # MLflow takes seconds to import
    import pandas as pd
    from mlflow.models import ModelSignature


class AnswerError(Exception):
    """The answer is not what the signature says, or not of the rows; no other choice of rows would help."""


class OutputCountError(AnswerError):
    """The model gave another number of answers than it got rows.

    Attributes:
        found: the number of answers.
    """

    def __init__(self, found: int, rows: int) -> None:
        super().__init__(f"{found} outputs for {rows} rows, wanted one a row")
        self.found = found


@dataclass(frozen=True, slots=True)
class Output:
    """What a signature says of a model's answer.

    Attributes:
        type: of the prediction column.
        name: of the one output, by which it is found among several; empty where it has none.
        width: values in the array of a row; None where any number will do.
    """

    type: pa.DataType
    name: str = ""
    width: int | None = None

    @classmethod
    def of(cls, signature: "ModelSignature | None", model: str) -> "Output":
        """What the signature of a model says; the model's name is for messages.

        Raises:
            ContractError: it says nothing, or an output that no column can hold.
        """
        kind = output_type(signature, model)
        assert signature is not None  # output_type
        outputs = signature.outputs.inputs
        shape: tuple[int, ...] = getattr(outputs[0], "shape", ())
        width = shape[1] if len(shape) == 2 and shape[1] > 0 else None
        single = outputs[0].name if len(outputs) == 1 else None
        return cls(kind, "" if single is None else str(single), width)


def match_answer(answer: Any, output: Output, rows: int) -> pa.Array:
    """What a pyfunc returned (array, series, frame, list, dict of these) as one value a row, in the order of the rows.

    1. The columns that the signature names.  2. The order that an index says.  3. The shape.  4. The type.

    Args:
        rows: how many it was asked about; in the frame that it got they are numbered from 0.

    Raises:
        OutputCountError: another number of answers.
        AnswerError: another shape, columns that the signature does not name, an index of other rows, or values of
            another kind: text is no number, and a time is neither.
        Exception: a value is not of the output's type.
    """
    import pandas as pd

    answer = answer.toarray() if hasattr(answer, "toarray") else answer  # sparse
    answer = np.asarray(answer) if isinstance(answer, np.matrix) else answer
    if isinstance(answer, pd.DataFrame):
        answer = _of_frame(answer, output, rows)
    if isinstance(answer, Mapping):
        if pa.types.is_struct(output.type):
            fields = [output.type.field(i) for i in range(output.type.num_fields)]
            columns = [match_answer(_column(answer, f.name), Output(f.type), rows) for f in fields]
            return pa.StructArray.from_arrays(columns, fields=fields)
        answer = _column(answer, output.name) if len(answer) != 1 else next(iter(answer.values()))
    if isinstance(answer, pd.Series | pd.Index):
        answer = _in_order(answer, rows) if isinstance(answer, pd.Series) else answer.to_numpy()
    _assert_one_a_row(answer, output)
    answer = _native(answer)
    if isinstance(answer, np.ndarray) and answer.ndim == 2:
        answer = _as_lists(answer) if pa.types.is_list(output.type) else answer[:, 0]
    if pa.types.is_struct(output.type):  # of a type hint list[Row]
        answer = [one.model_dump() if hasattr(one, "model_dump") else one for one in answer]
    values = pa.array(answer, from_pandas=True)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if values.type != output.type:
        values = _cast(values, output.type)
    if len(values) != rows:
        raise OutputCountError(len(values), rows)
    return _of_width(values, output.width)


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


def _of_frame(frame: "pd.DataFrame", output: Output, rows: int) -> Any:
    """A frame's columns by name; for an array a row all of them, in their order."""
    if not frame.columns.is_unique:
        msg = f"columns {', '.join(map(str, frame.columns))}, of which some have one name"
        raise AnswerError(msg)
    if pa.types.is_list(output.type) and len(frame.columns) != 1:
        return _in_order(frame, rows).to_numpy()
    return {str(name): frame[name] for name in frame.columns}


def _column(answer: Mapping[Any, Any], name: str) -> Any:
    if not name or name not in answer:
        found = ", ".join(map(str, answer)) or "no column"
        msg = f"columns {found}, wanted " + (f"'{name}'" if name else "one, as the signature says")
        raise AnswerError(msg)
    return answer[name]


def _in_order(answer: Any, rows: int) -> Any:
    """A series or frame in the order of the rows, which its index names."""
    import pandas as pd

    if len(answer) != rows:
        raise OutputCountError(len(answer), rows)
    index = answer.index
    if isinstance(index, pd.RangeIndex) and (index.start, index.step) == (0, 1):
        return answer
    is_of_rows = index.name is None and index.is_unique and pd.api.types.is_integer_dtype(index.dtype)
    if not is_of_rows or (rows and (index.min() != 0 or index.max() != rows - 1)):
        of = f" '{index.name}'" if index.name is not None else ""
        msg = (
            f"an index{of} of {', '.join(map(str, index[:3]))}, …, wanted that of the rows it got (0 to {rows - 1}); "
            f"return an array in the order of the rows"
        )
        raise AnswerError(msg)
    return answer.sort_index()


def _assert_one_a_row(answer: Any, output: Output) -> None:
    """Refuse what has another shape than the signature says, whatever the rows."""
    if isinstance(answer, str | bytes) or np.isscalar(answer) or answer is None:
        msg = f"one {type(answer).__name__}, wanted an answer a row"
        raise AnswerError(msg)
    if isinstance(answer, Set):
        msg = f"a {type(answer).__name__}, wanted answers in the order of the rows"
        raise AnswerError(msg)
    shape = getattr(answer, "shape", None)
    if not isinstance(shape, tuple):
        return
    is_array, holds_objects = pa.types.is_list(output.type), str(getattr(answer, "dtype", "")) == "object"
    flat = len(shape) == 1 and (holds_objects or not (is_array or pa.types.is_struct(output.type)))
    wide = len(shape) == 2 and shape[1] == ((output.width or shape[1]) if is_array else 1)
    if not (flat or (wide and not pa.types.is_struct(output.type))):
        wanted = f"(rows, {output.width or 'k'})" if is_array else f"one {output.type} a row"
        msg = f"an array of shape {shape}, the signature says {wanted}"
        raise AnswerError(msg)


def _as_lists(answer: "np.ndarray[Any, Any]") -> list[Any]:
    """The rows of an array; what is masked as None."""
    return answer.tolist() if isinstance(answer, np.ma.MaskedArray) else list(answer)


def _native(answer: Any) -> Any:
    """The same in the byte order of this machine, which Arrow wants."""
    kind = getattr(answer, "dtype", None)
    return answer.astype(kind.newbyteorder("=")) if isinstance(kind, np.dtype) and not kind.isnative else answer


def _cast(values: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Values as the signature's type.

    Raises:
        AnswerError: they are of another kind.
        ArrowInvalid: one of them is none of the type.
    """
    _assert_of_kind(values.type, wanted)
    if pa.types.is_boolean(wanted):
        _assert_true_or_false(values)
    elif pa.types.is_integer(wanted) and pa.types.is_floating(values.type):
        _assert_whole(values)
    return values.cast(wanted)


def _assert_of_kind(found: pa.DataType, wanted: pa.DataType) -> None:
    """Refuse what only a cast would make a value of the signature's type."""
    if pa.types.is_struct(wanted) and pa.types.is_struct(found):
        for field in wanted:
            if (at := found.get_field_index(field.name)) >= 0:
                _assert_of_kind(found.field(at).type, field.type)
    elif pa.types.is_list(wanted) and (pa.types.is_list(found) or pa.types.is_fixed_size_list(found)):
        _assert_of_kind(found.value_type, wanted.value_type)
    elif _kind(found) not in (_kind(wanted), "null"):
        msg = f"values of type {found}, the signature says {wanted}"
        raise AnswerError(msg)


def _kind(kind: pa.DataType) -> str:
    """What values have in common that are one for each other; a boolean counts as 0 and 1."""
    if pa.types.is_dictionary(kind):
        return _kind(kind.value_type)
    if any(
        is_one(kind) for is_one in (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    ):
        return "number"
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return "text" if is_text else str(kind)


def _assert_whole(values: pa.Array) -> None:
    """Raise ArrowInvalid for numbers with a fraction, as of a regressor whose signature is that of its target."""
    broken = values.filter(pc.not_equal(pc.floor(values), values))
    if len(broken):
        msg = f"{broken[0]}, the signature says a whole number; log it with infer_signature(inputs, predictions)"
        raise pa.ArrowInvalid(msg)


def _assert_true_or_false(values: pa.Array) -> None:
    """Raise ArrowInvalid for numbers other than 0 and 1; a cast takes a probability of 0.1 for true."""
    if (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)) and not pc.all(
        pc.is_in(values, value_set=pa.array([0, 1, None], values.type)), min_count=0
    ).as_py():
        msg = "numbers other than 0 and 1, the signature says boolean"
        raise pa.ArrowInvalid(msg)


def _of_width(values: pa.Array, width: int | None) -> pa.Array:
    """Arrays of another length than the signature's as null, which is a bad prediction."""
    if width is None:
        return values
    fits = pc.equal(pc.list_value_length(values), width)
    return values if pc.all(fits).as_py() else pc.if_else(fits, values, pa.scalar(None, values.type))
