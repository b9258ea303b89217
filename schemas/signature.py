"""The contract between a feed and a model: what the files hold against what the model's signature asks for.

Widening is allowed (int → long → double, float → double), and text for a string input: the model then gets it exactly
as it stands in the file. Narrowing is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from schemas.errors import ContractError
from schemas.feed import Column, Feed
from schemas.frequency import Frequency

if TYPE_CHECKING:  # MLflow takes seconds to import
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, TensorSpec

# a feed's type → the model's types that can hold all its values (MLflow's names)
WIDENS = {
    "string": ("string",),
    "boolean": ("boolean", "string"),
    "int": ("integer", "long", "double", "string"),
    "long": ("long", "double", "string"),
    "float": ("float", "double", "string"),
    "double": ("double", "string"),
    "date": ("datetime", "string"),
    "timestamp": ("datetime", "string"),
}

# a model's output type → the prediction's
OUTPUTS = {
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "long": pa.int64(),
    "float": pa.float64(),
    "double": pa.float64(),
    "string": pa.string(),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One column in which feed and model do not fit; types are None where the side lacks the column."""

    column: str
    feed: str | None
    model: str | None
    why: str


def differences(feed: Feed, signature: "ModelSignature | None") -> list[Difference]:
    """Where the feed's features do not give the model what its signature asks for; empty if they fit."""
    if signature is None or signature.inputs is None:
        return [Difference("(all)", None, None, "the model has no signature; log it with one")]
    if signature.inputs.is_tensor_spec():
        return _tensor_differences(feed, signature.inputs.inputs)
    features = {column.name: column for column in feed.features}
    found = [d for spec in signature.inputs.inputs for d in _column_differences(features.get(spec.name), spec)]
    asked = {spec.name for spec in signature.inputs.inputs}
    return found + [
        Difference(name, column.type, None, "the model does not ask for it; give it the role 'carry'")
        for name, column in features.items()
        if name not in asked
    ]


@dataclass(frozen=True, slots=True)
class SeriesContract:
    """What a series model wants, by the `streamscore` entry of its metadata.

    Attributes:
        window_rows: consecutive observations from which it forecasts.
        endogenous: original names of the columns in a window, in its order.
        key: the series that it was trained on, by the text of its key columns, in the feed's order; None: any.
        frequency: how far apart the rows of a window are; None: whatever time lies between them.
        coverage: probability between the bounds, which are those of a normal distribution; None: unknown.
    """

    window_rows: int
    endogenous: tuple[str, ...]
    key: tuple[str | None, ...] | None = None
    frequency: Frequency | None = None
    coverage: float | None = None


def assert_contract(
    feed: Feed, signature: "ModelSignature | None", model: str, metadata: Mapping[str, Any] | None = None
) -> None:
    """Hold a model's signature, or a series model's metadata, against the feed.

    Raises:
        ContractError: they do not fit; the first line names the first difference, the others follow, a line each.
    """
    kind = said_of_itself(metadata).get("kind", "rows")
    if kind != feed.kind:
        msg = (
            f"model {model} is of kind '{kind}', feed {feed.name} is of kind '{feed.kind}'; promote a version trained "
            f"for the feed: streamscore models {model.split()[0]}, or change kind in schemas/{feed.name}.yaml"
        )
        raise ContractError(msg)
    if feed.kind == "series":
        series_contract(feed, metadata, model)
    elif found := differences(feed, signature):
        first = found[0]
        raise ContractError(
            f"model {model} does not fit feed {feed.name}: '{first.column}' is {first.feed or 'missing'} in the feed "
            f"and {first.model or 'missing'} in the model ({first.why}); {len(found)} in all; "
            f"fix schemas/{feed.name}.yaml or promote a version trained on it: streamscore models {model.split()[0]}\n"
            + "\n".join(f"{d.column:<28} feed {d.feed or '-':<10} model {d.model or '-':<10} {d.why}" for d in found)
        )


def series_contract(feed: Feed, metadata: Mapping[str, Any] | None, model: str) -> SeriesContract:
    """What a series model wants of the feed.

    Raises:
        ContractError: its endogenous columns are not the feed's features, its series is one of other keys, or its
            metadata do not say what it wants.
    """
    said = said_of_itself(metadata)
    try:
        frequency = Frequency.parse(said["frequency"]) if said.get("frequency") else None
        key = None if said.get("key") is None else {str(name): value for name, value in said["key"].items()}
        coverage = None if said.get("coverage") is None else float(said["coverage"])
        found = SeriesContract(int(said["window_rows"]), tuple(said["endogenous"]), None, frequency, coverage)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        msg = (
            f"model {model} has {dict(said)} as metadata 'streamscore', wanted kind, window_rows and endogenous, and "
            f"perhaps key and frequency; log it with them"
        )
        raise ContractError(msg) from error
    features = [column.name for column in feed.features]
    if found.window_rows < 1 or sorted(found.endogenous) != sorted(features):
        msg = (
            f"model {model} does not fit feed {feed.name}: it forecasts {', '.join(found.endogenous)} from "
            f"{found.window_rows} observations, the feed's features are {', '.join(features)}; "
            f"fix schemas/{feed.name}.yaml or promote a version trained on it: streamscore models {model.split()[0]}"
        )
        raise ContractError(msg)
    if key is None:
        return found
    names = [column.name for column in feed.keys]
    if sorted(key) != sorted(names):
        msg = (
            f"model {model} does not fit feed {feed.name}: it was trained on a series by {', '.join(key) or 'no key'}, "
            f"the feed's key columns are {', '.join(names) or 'none'}; "
            f"fix schemas/{feed.name}.yaml or promote a version trained on it: streamscore models {model.split()[0]}"
        )
        raise ContractError(msg)
    return replace(found, key=tuple(None if key[name] is None else str(key[name]) for name in names))


def text_columns(feed: Feed, signature: "ModelSignature") -> frozenset[str]:
    """The typed features that the model wants as the text in the file, by original name."""
    typed = {column.name for column in feed.features if column.type != "string"}
    if signature.inputs.is_tensor_spec():
        return frozenset()
    return frozenset(spec.name for spec in signature.inputs.inputs if spec.name in typed and _name(spec) == "string")


def output_type(signature: "ModelSignature | None") -> pa.DataType | None:
    """The type of the prediction column; None where the signature does not say.

    One output → double, long, boolean or string; `(-1, k)` → array; several named outputs → struct.

    Raises:
        ContractError: an output that no column can hold.
    """
    if signature is None or signature.outputs is None or not signature.outputs.inputs:
        return None
    outputs = signature.outputs.inputs
    if len(outputs) == 1:
        return _output(outputs[0])
    return pa.struct([pa.field(str(spec.name), _output(spec)) for spec in outputs])


def said_of_itself(metadata: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The `streamscore` entry of a version's metadata; empty if there is none."""
    said = (metadata or {}).get("streamscore")
    return said if isinstance(said, Mapping) else {}


def _column_differences(column: Column | None, spec: "ColSpec") -> list[Difference]:
    wanted = _name(spec)
    if column is None:
        return [Difference(str(spec.name), None, wanted, "the feed has no such feature")] if spec.required else []
    if wanted not in WIDENS[column.type]:
        return [Difference(column.name, column.type, wanted, "the model's type does not hold the feed's")]
    if column.nullable and wanted in ("integer", "long", "boolean"):
        return [Difference(column.name, f"{column.type}?", wanted, "the feed allows nulls, the model's type does not")]
    return []


def _tensor_differences(feed: Feed, specs: "list[TensorSpec]") -> list[Difference]:
    spec, width = specs[0], len(feed.features)
    if len(specs) > 1 or len(spec.shape) != 2 or spec.shape[1] not in (-1, width):
        return [Difference("(tensor)", f"{width} features", str(specs), "the model wants another shape")]
    fits = [(c, "double" if spec.type == np.float64 else str(spec.type)) for c in feed.features]
    return [
        Difference(c.name, c.type, wanted, "the model's type does not hold the feed's")
        for c, wanted in fits
        if wanted not in WIDENS[c.type]
    ]


def _output(spec: "ColSpec | TensorSpec") -> pa.DataType:
    if hasattr(spec, "shape"):  # a tensor
        kinds = {"f": pa.float64(), "i": pa.int64(), "u": pa.int64(), "b": pa.bool_()}
        kind = kinds.get(np.dtype(str(spec.type)).kind, pa.string())
        if len(spec.shape) > 2:
            msg = f"the model's output is {spec}, wanted a scalar or (-1, k) a row; wrap it in a pyfunc"
            raise ContractError(msg)
        return pa.list_(kind) if len(spec.shape) == 2 else kind
    name = _name(spec)
    if name.startswith("array<") and (item := OUTPUTS.get(name[6:-1])):
        return pa.list_(item)
    if name not in OUTPUTS:
        msg = f"the model's output is {name}, wanted one of {', '.join(OUTPUTS)}; wrap it in a pyfunc"
        raise ContractError(msg)
    return OUTPUTS[name]


def _name(spec: "ColSpec") -> str:
    kind = spec.type
    if hasattr(kind, "name"):
        return str(kind.name)
    if hasattr(kind, "dtype") and hasattr(kind.dtype, "name"):
        return f"array<{kind.dtype.name}>"
    return str(kind)
