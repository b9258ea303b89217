"""The contract between a feed and a model: what the files hold against what the model's signature asks for.

Widening is allowed (int → long → double, float → double), and text for a string input: the model then gets it exactly
as it stands in the file. Narrowing is refused. What each type of a signature holds is in `model_inputs`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa

from schemas.columns import folded
from schemas.errors import ContractError
from schemas.feed import Column, Feed
from schemas.frequency import Frequency
from schemas.model_inputs import ModelInput, ModelInputs, inputs_of, type_name

if TYPE_CHECKING:  # MLflow takes seconds to import
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, TensorSpec

# a model's output type → the prediction's
OUTPUTS = {
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "long": pa.int64(),
    "float": pa.float64(),
    "double": pa.float64(),
    "string": pa.string(),
}
# the same by the kind of a tensor's type; objects are text
TENSOR_OUTPUTS = {
    "b": pa.bool_(),
    "i": pa.int64(),
    "u": pa.int64(),
    "f": pa.float64(),
    "U": pa.string(),
    "O": pa.string(),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One column in which feed and model do not fit; types are None where the side lacks the column."""

    column: str
    feed: str | None
    model: str | None
    why: str


def differences(feed: Feed, inputs: ModelInputs) -> list[Difference]:
    """Where the feed's features do not give the model what its signature asks for; empty if they fit."""
    width, wanted = len(feed.features), len(inputs.columns)
    if not inputs.is_named and width != wanted:
        why = "the model takes them by their places, in the feed's order"
        return [Difference("(all)", f"{width} features", f"{wanted} inputs", why)]
    found = [d for column, one in inputs.paired(feed.features) for d in _column_differences(column, one)]
    asked = {one.name for one in inputs.columns}
    return found + [
        Difference(column.name, column.type, None, "the model does not ask for it; give it the role 'carry'")
        for column in (feed.features if inputs.is_named else ())
        if column.name not in asked
    ]


@dataclass(frozen=True, slots=True)
class SeriesContract:
    """What a series model wants, by the `streamscore` entry of its metadata.

    Attributes:
        window_rows: consecutive observations from which it forecasts.
        endogenous: original names of the columns in a window, in its order; those that it forecasts.
        exogenous: original names of the columns that it forecasts by.
        key: the series that it was trained on, by the text of its key columns, in the feed's order; None: any.
        frequency: how far apart the rows of a window are; None: whatever time lies between them.
        coverage: probability between the bounds, which are those of a normal distribution; None: unknown.
    """

    window_rows: int
    endogenous: tuple[str, ...]
    key: tuple[str | None, ...] | None = None
    frequency: Frequency | None = None
    coverage: float | None = None
    exogenous: tuple[str, ...] = ()


def assert_contract(
    feed: Feed, signature: "ModelSignature | None", model: str, metadata: Mapping[str, Any] | None = None
) -> None:
    """Hold a model's signature, or a series model's metadata, against the feed.

    Raises:
        ContractError: they do not fit; the first line names the first difference, the others follow, a line each. Or
            there is no signature, or an input that no feed could give.
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
    elif found := differences(feed, inputs_of(signature, model, len(feed.features))):
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
        frequency = Frequency.parse(str(said["frequency"])) if said.get("frequency") else None
        key = None if said.get("key") is None else {str(name): value for name, value in said["key"].items()}
        coverage = None if said.get("coverage") is None else float(said["coverage"])
        endogenous, exogenous = tuple(said["endogenous"]), tuple(said.get("exogenous") or ())
        found = SeriesContract(int(said["window_rows"]), endogenous, None, frequency, coverage, exogenous)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        msg = (
            f"model {model} has {dict(said)} as metadata 'streamscore', wanted kind, window_rows and endogenous, and "
            f"perhaps key and frequency; log it with them"
        )
        raise ContractError(msg) from error
    features, regressors = ([column.name for column in columns] for columns in (feed.features, feed.exogenous))
    if (
        found.window_rows < 1
        or not _are_of(found.endogenous, features)
        or not (_are_of(found.exogenous, regressors) or not found.exogenous)
    ):
        by, has = (f" by {', '.join(names)}" if names else "" for names in (found.exogenous, regressors))
        msg = (
            f"model {model} does not fit feed {feed.name}: it forecasts {', '.join(found.endogenous)}{by} from "
            f"{found.window_rows} observations, the feed's features are {', '.join(features)}"
            f"{has.replace(' by ', ', its exogenous columns ')}; "
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


def _are_of(names: tuple[str, ...], known: list[str]) -> bool:
    """Whether these are some of the known names, each once."""
    return 0 < len(names) == len(set(names) & set(known))


def text_columns(feed: Feed, inputs: ModelInputs) -> frozenset[str]:
    """The typed features that the model wants as the text in the file, by original name."""
    return frozenset(
        column.name
        for column, one in inputs.paired(feed.features)
        if column and column.type != "string" and one.type.arrow == pa.string()
    )


def output_type(signature: "ModelSignature | None", model: str) -> pa.DataType:
    """The type of the prediction column.

    One output → double, long, boolean or string; `(-1, k)` → array; several named outputs → struct.

    Raises:
        ContractError: the signature does not say it, or an output is none that a column can hold.
    """
    if signature is None or signature.outputs is None or not signature.outputs.inputs:
        msg = (
            f"model {model} says nothing of its output, wanted a signature with outputs; "
            f"log it with infer_signature(inputs, predictions)"
        )
        raise ContractError(msg)
    outputs = signature.outputs.inputs
    if len(outputs) == 1:
        return _output(outputs[0], model)
    if any(spec.name is None for spec in outputs):
        msg = (
            f"model {model} answers with {len(outputs)} values without names, wanted a name for each; log it with them"
        )
        raise ContractError(msg)
    return _struct([pa.field(str(spec.name), _output(spec, model)) for spec in outputs], model)


def said_of_itself(metadata: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The `streamscore` entry of a version's metadata; empty if there is none."""
    said = (metadata or {}).get("streamscore")
    return said if isinstance(said, Mapping) else {}


def _column_differences(column: Column | None, one: ModelInput) -> list[Difference]:
    kind = one.type
    if column is None:
        return [Difference(one.name, None, kind.name, "the feed has no such feature")] if one.required else []
    if column.type not in kind.takes:
        return [Difference(column.name, column.type, kind.name, "the model's type does not hold the feed's")]
    if column.nullable and not kind.holds_null:
        why = "the feed allows nulls, the model's type does not"
        return [Difference(column.name, f"{column.type}?", kind.name, why)]
    if kind.limits and _exceeds(column, *kind.limits):
        why = f"the feed allows other numbers; write min: {kind.limits[0]}, max: {kind.limits[1]} or less into it"
        return [Difference(column.name, column.type, kind.name, why)]
    return []


def _exceeds(column: Column, low: int, high: int) -> bool:
    """Whether the feed allows a whole number that is not between the two."""
    largest = 2 ** (31 if column.type == "int" else 63) - 1
    least = -largest - 1 if column.min is None else column.min
    return least < low or (largest if column.max is None else column.max) > high


def _output(spec: "ColSpec | TensorSpec", model: str) -> pa.DataType:
    if hasattr(spec, "shape"):
        return _tensor_output(cast("TensorSpec", spec), model)
    if fields := getattr(spec.type, "properties", None):  # of a type hint list[Row]
        return _struct([pa.field(one.name, _column_output(type_name(one.dtype), model)) for one in fields], model)
    name = type_name(spec.type)
    if name.startswith("array<") and (item := OUTPUTS.get(name[6:-1])):
        return pa.list_(item)
    return _column_output(name, model)


def _struct(fields: Sequence[pa.Field], model: str) -> pa.DataType:
    """Of outputs whose names a Delta table tells apart; it does not tell their case."""
    seen: dict[str, str] = {}
    for field in fields:
        if (other := seen.get(folded(field.name))) is not None:
            msg = f"model {model} answers with '{other}' and '{field.name}', which are one name in a table; rename one"
            raise ContractError(msg)
        seen[folded(field.name)] = field.name
    return pa.struct(fields)


def _column_output(name: str, model: str) -> pa.DataType:
    if name not in OUTPUTS:
        msg = f"model {model} answers with {name}, wanted one of {', '.join(OUTPUTS)}; wrap it in a pyfunc"
        raise ContractError(msg)
    return OUTPUTS[name]


def _tensor_output(spec: "TensorSpec", model: str) -> pa.DataType:
    kind = TENSOR_OUTPUTS.get(np.dtype(spec.type).kind)
    if kind is None or len(spec.shape) > 2:
        msg = (
            f"model {model} answers with {spec}, wanted one value or (-1, k) a row, of numbers, booleans or text; "
            f"wrap it in a pyfunc"
        )
        raise ContractError(msg)
    return pa.list_(kind) if len(spec.shape) == 2 else kind
