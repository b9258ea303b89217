"""What a model's signature asks for, by one table of types: for proposed feeds, the contract and requests."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from schemas.columns import TYPES, Column
from schemas.errors import ContractError

if TYPE_CHECKING:  # MLflow takes seconds to import
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, TensorSpec


@dataclass(frozen=True, slots=True)
class InputType:
    """A type of a model's inputs.

    Attributes:
        name: in the signature; MLflow's name of a column's type, numpy's of a tensor's.
        arrow: what the model gets; None: the feed's own type, whichever that is.
        takes: the feed's types of which it holds every value; the first one is proposed.
        holds_null: whether a value may be missing.
        limits: of whole numbers that have fewer bits than the feed's type.
    """

    name: str
    arrow: pa.DataType | None
    takes: tuple[str, ...]
    holds_null: bool = True
    limits: tuple[int, int] | None = None


_ANY = ("string", *(name for name in TYPES if name != "string"))
_DOUBLE, _TIME = ("double", "float", "long", "int"), ("timestamp", "date")

COLUMN_TYPES = {
    kind.name: kind
    for kind in (
        InputType("boolean", pa.bool_(), ("boolean",), holds_null=False),
        InputType("integer", pa.int32(), ("int",), holds_null=False),
        InputType("long", pa.int64(), ("long", "int"), holds_null=False),
        InputType("float", pa.float32(), ("float",)),
        InputType("double", pa.float64(), _DOUBLE),
        InputType("string", pa.string(), _ANY),  # as the text in the file
        InputType("datetime", pa.timestamp("ns"), _TIME),
    )
}

TENSOR_TYPES = {
    kind.name: kind
    for kind in (
        InputType("bool", pa.bool_(), ("boolean",), holds_null=False),
        InputType("int8", pa.int8(), ("int",), False, (-(2**7), 2**7 - 1)),
        InputType("uint8", pa.uint8(), ("int",), False, (0, 2**8 - 1)),
        InputType("int16", pa.int16(), ("int",), False, (-(2**15), 2**15 - 1)),
        InputType("uint16", pa.uint16(), ("int",), False, (0, 2**16 - 1)),
        InputType("int32", pa.int32(), ("int",), holds_null=False),
        InputType("uint32", pa.uint32(), ("long", "int"), False, (0, 2**32 - 1)),
        InputType("int64", pa.int64(), ("long", "int"), holds_null=False),
        InputType("uint64", pa.uint64(), ("long", "int"), False, (0, 2**63 - 1)),
        InputType("float32", pa.float32(), ("float",)),
        InputType("float64", pa.float64(), _DOUBLE),
        InputType("str", pa.string(), _ANY, holds_null=False),
        InputType("object", None, _ANY),
        InputType("datetime64[ns]", pa.timestamp("ns"), _TIME),
        InputType("datetime64[us]", pa.timestamp("us"), _TIME),
    )
}


@dataclass(frozen=True, slots=True)
class ModelInput:
    """One input, which a column of the feed gives.

    Attributes:
        name: of the column; `x0`, `x1`, … where the signature has no names.
        label: the name in what the model gets, text or a number; None: the signature has no names.
        type: of its values.
        required: whether the model needs it.
    """

    name: str
    label: Any
    type: InputType
    required: bool = True

    @property
    def nullable(self) -> bool:
        """Whether a value may be missing in a feed that is proposed."""
        return self.type.holds_null and not self.required


@dataclass(frozen=True, slots=True)
class Tensor:
    """An array that a model takes.

    Attributes:
        name: under which it takes it; None: it takes the array itself.
        columns: positions of its columns among the inputs.
        is_flat: whether it is `(-1,)`, one value a row, and not `(-1, k)`.
        dtype: of its values.
    """

    name: str | None
    columns: tuple[int, ...]
    is_flat: bool
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class ModelInputs:
    """All that a model takes.

    Attributes:
        columns: in their order.
        is_named: whether the feed's columns are found by name; else they are the features in the feed's order.
        tensors: what it takes as arrays; empty: it takes a data frame.
    """

    columns: tuple[ModelInput, ...]
    is_named: bool
    tensors: tuple[Tensor, ...] = ()

    def paired(self, features: Sequence[Column]) -> Iterator[tuple[Column | None, ModelInput]]:
        """Each input with the feature that gives it; None where no feature does."""
        if self.is_named:
            by_name = {column.name: column for column in features}
            yield from ((by_name.get(one.name), one) for one in self.columns)
        else:
            yield from zip(features, self.columns, strict=False)


def inputs_of(signature: "ModelSignature | None", model: str, features: int | None = None) -> ModelInputs:
    """The inputs in a signature.

    Args:
        model: for messages.
        features: how many columns a tensor has whose signature does not say it; None: such a tensor is refused.

    Raises:
        ContractError: there is no signature, or an input that no CSV column could give.
    """
    if signature is None or signature.inputs is None or not signature.inputs.inputs:
        msg = f"model {model} has no signature with inputs; log it with infer_signature(inputs, predictions)"
        raise ContractError(msg)
    if signature.inputs.is_tensor_spec():
        return _of_tensors(signature.inputs.inputs, model, features)
    specs = signature.inputs.inputs
    fields = getattr(specs[0].type, "properties", None) if signature._is_signature_from_type_hint else None
    if fields:  # list[Row], for which MLflow makes rows of a frame
        named = (_input(one.name, one.name, one.dtype, one.required, model) for one in fields)
        return ModelInputs(tuple(named), is_named=True)
    is_named = specs[0].name is not None
    return ModelInputs(tuple(_of_column(spec, at, model) for at, spec in enumerate(specs)), is_named)


def tensor_names(name: str | None, width: int) -> list[str]:
    """What the columns of a tensor are called: `x0`, `x1`, … or by the name of one among several."""
    if name is not None and width == 1:
        return [name]
    return [f"x{at}" if name is None else f"{name}_{at}" for at in range(width)]


def type_name(kind: Any) -> str:
    """What a signature calls a column's type: `double`, `array<double>`, …"""
    if hasattr(kind, "name"):
        return str(kind.name)
    if hasattr(kind, "dtype") and hasattr(kind.dtype, "name"):
        return f"array<{kind.dtype.name}>"
    return str(kind)


def _of_column(spec: "ColSpec", at: int, model: str) -> ModelInput:
    if not isinstance(spec.name, str | int | float | None):
        msg = f"model {model} has an input named {spec.name!r}, wanted text or a number; log it with such names"
        raise ContractError(msg)
    return _input(f"x{at}" if spec.name is None else str(spec.name), spec.name, spec.type, spec.required, model)


def _input(name: str, label: Any, kind: Any, required: bool, model: str) -> ModelInput:
    found = COLUMN_TYPES.get(type_name(kind))
    if found is None:
        raise _no_column(model, name, type_name(kind), COLUMN_TYPES)
    if not required:
        found = replace(found, holds_null=True)
    return ModelInput(name, label, found, required)


def _of_tensors(specs: "Sequence[TensorSpec]", model: str, features: int | None) -> ModelInputs:
    """One tensor by position, several by name."""
    columns: list[ModelInput] = []
    tensors: list[Tensor] = []
    for spec in specs:
        shape, kind = spec.shape, np.dtype(spec.type)
        found = TENSOR_TYPES.get("str" if kind.kind == "U" else kind.name)
        title = spec.name or "a tensor"
        if found is None:
            raise _no_column(model, title, kind.name, TENSOR_TYPES)
        width = 1 if len(shape) == 1 else shape[1] if len(shape) == 2 else 0
        if width == -1 and len(specs) == 1 and features:
            width = features
        if shape[0] != -1 or width < 1:
            msg = (
                f"model {model} wants '{title}' of shape {shape}, wanted (-1, number of columns) or (-1,); "
                f"log it with such a signature, or wrap it in a pyfunc"
            )
            raise ContractError(msg)
        names = tensor_names(spec.name if len(specs) > 1 else None, width)
        places = tuple(range(len(columns), len(columns) + width))
        tensors.append(Tensor(spec.name, places, len(shape) == 1, kind))
        columns += [ModelInput(name, None, found) for name in names]
    return ModelInputs(tuple(columns), len(specs) > 1, tuple(tensors))


def _no_column(model: str, name: str, kind: str, known: Iterable[str]) -> ContractError:
    msg = f"model {model} wants '{name}' as {kind}, which no CSV column holds, wanted one of {', '.join(known)}"
    return ContractError(f"{msg}; wrap it in a pyfunc that takes these")
