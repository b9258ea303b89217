"""The tensors of the Open Inference Protocol V2, as JSON and as binary data behind it."""

import base64
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.serving.requests.contract import Inputs
from jobs.serving.requests.problems import RequestError
from jobs.serving.requests.tabular import of_columns, of_lists
from jobs.serving.requests.values import Values

_NUMPY = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
    "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64,
    "FP16": np.float16, "FP32": np.float32, "FP64": np.float64,
}  # fmt: skip
MOST_AXES = 8  # of a shape
# A column's type → the datatype that metadata name.
DATATYPES = {
    "boolean": "BOOL", "int": "INT32", "long": "INT64", "float": "FP32", "double": "FP64",
    "string": "BYTES", "date": "BYTES", "timestamp": "BYTES",
}  # fmt: skip


def decode_inputs(given: Any, binary: bytes, inputs: Inputs) -> Values:
    """The rows of an inference request: an input `[N]` or `[N, 1]` for each column, or one `[N, k]` for a tensor.

    Args:
        binary: what stands behind the JSON; inputs with `binary_data_size` take theirs from it, in their order.

    Raises:
        RequestError: the request is not as the protocol says, or not as the model wants it.
    """
    if not isinstance(given, list) or not given:
        raise RequestError(400, "wanted an object with a list 'inputs'")
    at = 0
    tensors: dict[str, tuple[list[int], list[Any]]] = {}
    for tensor in given:
        name, shape, parameters = _head(tensor)
        if name in tensors:
            raise RequestError(400, f"input '{name}' is there twice, wanted once")
        if (size := _binary_size(parameters, name)) is None:
            values = _flat(tensor.get("data"), len(shape), name)
        else:
            values = _from_binary(binary[at : at + size], tensor["datatype"], name)
            at += size
        if parameters.get("content_type") == "base64":
            values = [_from_base64(value, name) for value in values]
        if len(values) != math.prod(shape):
            raise RequestError(400, f"input '{name}' has {len(values)} values, its shape {shape} wants another number")
        tensors[name] = shape, values
    if at != len(binary):
        raise RequestError(400, f"{len(binary) - at} bytes of binary data belong to no input")
    return _rows(tensors, inputs)


def encode_outputs(predictions: pa.Array, name: str, wanted: Mapping[str, bool]) -> list[tuple[dict[str, Any], bytes]]:
    """The predictions as output tensors; a struct is one for each of its fields.

    Args:
        wanted: the names of the outputs that are asked for, and whether as binary data.
    """
    if pa.types.is_struct(predictions.type):
        fields = zip(predictions.type, predictions.flatten(), strict=True)
        return [tensor for field, values in fields for tensor in encode_outputs(values, field.name, wanted)]
    if name not in wanted:
        return []
    shape = [len(predictions)]
    if pa.types.is_list(predictions.type):
        width = len(predictions[0]) if len(predictions) else 0
        if any(len(row) != width for row in predictions):
            raise RequestError(422, f"output '{name}' has rows of different lengths, which no tensor has")
        shape, predictions = [len(predictions), width], predictions.flatten()
    datatype = _datatype(predictions.type)
    tensor: dict[str, Any] = {"name": name, "shape": shape, "datatype": datatype}
    if not wanted[name]:
        return [(tensor | {"data": predictions.to_pylist()}, b"")]
    data = _to_binary(predictions, datatype)
    return [(tensor | {"parameters": {"binary_data_size": len(data)}}, data)]


def output_metadata(kind: pa.DataType, name: str) -> list[dict[str, Any]]:
    """The output tensors of a model, as its metadata name them."""
    if pa.types.is_struct(kind):
        return [tensor for field in kind for tensor in output_metadata(field.type, field.name)]
    if pa.types.is_list(kind):
        return [{"name": name, "datatype": _datatype(kind.value_type), "shape": [-1, -1]}]
    return [{"name": name, "datatype": _datatype(kind), "shape": [-1]}]


def input_metadata(inputs: Inputs) -> list[dict[str, Any]]:
    """The input tensors of a model."""
    features = inputs.feed.features
    if inputs.is_tensor:
        return [{"name": "input", "datatype": DATATYPES[features[0].type], "shape": [-1, len(features)]}]
    return [{"name": c.name, "datatype": DATATYPES[c.type], "shape": [-1]} for c in features if c.name in inputs.names]


def parameters_of(of: dict[str, Any], what: str) -> dict[str, Any]:
    """The parameters of a request, an input or an output; none if it has none.

    Raises:
        RequestError: they are no object.
    """
    parameters = of.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise RequestError(400, f"the parameters of {what} are no object, wanted one")
    return parameters


def _head(tensor: Any) -> tuple[str, list[int], dict[str, Any]]:
    """Name, shape, and parameters."""
    name = tensor.get("name") if isinstance(tensor, dict) else None
    if not isinstance(name, str):
        raise RequestError(400, "an input has no name")
    shape, datatype = tensor.get("shape"), tensor.get("datatype")
    if not isinstance(shape, list) or len(shape) > MOST_AXES or not all(type(n) is int and n >= 0 for n in shape):
        raise RequestError(400, f"input '{name}' has shape {shape!r:.100}, wanted a list of sizes")
    if datatype not in (*_NUMPY, "BYTES"):
        found = f"{datatype!r:.40}"
        raise RequestError(400, f"input '{name}' has datatype {found}, wanted one of {', '.join(_NUMPY)}, BYTES")
    return name, shape, parameters_of(tensor, f"input '{name}'")


def _binary_size(parameters: dict[str, Any], name: str) -> int | None:
    """Bytes in the binary data; None if the values are in the JSON."""
    size = parameters.get("binary_data_size")
    if size is not None and (type(size) is not int or size < 0):
        raise RequestError(400, f"input '{name}' has binary_data_size {size!r:.40}, wanted a number of bytes")
    return size


def _rows(tensors: Mapping[str, tuple[list[int], list[Any]]], inputs: Inputs) -> Values:
    if inputs.is_tensor and len(tensors) == 1:
        ((shape, values),) = tensors.values()
        width = len(inputs.names)
        if len(shape) != 2 or shape[1] != width:
            raise RequestError(400, f"the input has shape {shape}, wanted [N, {width}]")
        rows = [values[at : at + width] for at in range(0, len(values), width)]
        return of_lists(rows, inputs.names, inputs)
    counts = {name: shape[0] if shape else 0 for name, (shape, _) in tensors.items()}
    for name, (shape, _) in tensors.items():
        if len(shape) not in (1, 2) or shape[1:] not in ([], [1]):
            raise RequestError(400, f"input '{name}' has shape {shape}, wanted [N] or [N, 1]")
    if len(set(counts.values())) > 1:
        raise RequestError(400, f"inputs have different numbers of rows: {counts}")
    columns = {name: values for name, (_, values) in tensors.items()}
    return of_columns(columns, inputs, next(iter(counts.values())))


def _flat(data: Any, axes: int, name: str) -> list[Any]:
    """Row-major values, nested or not; never deeper than the shape is long, so that it takes no longer than reading."""
    if not isinstance(data, list):
        raise RequestError(400, f"input '{name}' has no list 'data'")
    for _ in range(axes):
        if list not in set(map(type, data)):
            return data
        data = [inner for value in data for inner in (value if type(value) is list else [value])]
    return data


def _from_base64(value: Any, name: str) -> Any:
    try:
        return base64.b64decode(value, validate=True).decode() if isinstance(value, str) else value
    except ValueError as error:
        raise RequestError(400, f"input '{name}' has a value that is no base64 of UTF-8") from error


def _from_binary(data: bytes, datatype: str, name: str) -> list[Any]:
    if datatype != "BYTES":
        kind = np.dtype(_NUMPY[datatype]).newbyteorder("<")
        if len(data) % kind.itemsize:
            raise RequestError(400, f"input '{name}' has {len(data)} bytes, which are no whole {datatype}")
        return list(np.frombuffer(data, kind).tolist())
    values, at = [], 0
    while at < len(data):
        size = struct.unpack_from("<I", data, at)[0] if at + 4 <= len(data) else len(data)
        if at + 4 + size > len(data):
            raise RequestError(400, f"input '{name}' ends in the middle of a value")
        try:
            values.append(data[at + 4 : at + 4 + size].decode())
        except UnicodeDecodeError as error:
            raise RequestError(400, f"input '{name}' has a value that is no UTF-8") from error
        at += 4 + size
    return values


def _to_binary(values: pa.Array, datatype: str) -> bytes:
    if datatype == "BYTES":
        texts = [str(value).encode() for value in values.to_pylist()]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.asarray(values.to_pylist(), _NUMPY[datatype]).tobytes()


def _datatype(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "BOOL"
    if pa.types.is_integer(kind):
        return "INT64"
    return "FP64" if pa.types.is_floating(kind) else "BYTES"
