"""`streamscore schema`: a feed's YAML out of a model's signature, or of columns that were found some other way."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import yaml
from pydantic import ValidationError

from schemas.errors import ContractError, FeedError
from schemas.feed import Feed, first_problem

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

# MLflow's types → a feed's; the narrowest that the contract accepts for it
TYPES = {
    "boolean": "boolean",
    "integer": "int",
    "long": "long",
    "float": "float",
    "double": "double",
    "string": "string",
    "datetime": "timestamp",
}
TENSOR_TYPES = {"float64": "double", "float32": "float", "int64": "long", "int32": "int", "bool": "boolean"}


def feed_from_signature(name: str, signature: "ModelSignature | None", model_uri: str) -> str:
    """The text of a `schemas/<name>.yaml` whose features are the model's inputs; ranges, keys, target are left to you.

    Raises:
        ContractError: the model has no signature, or an input that no CSV column can hold.
        FeedError: the names make no feed, e.g. two that are equal in the tables.
    """
    if signature is None or signature.inputs is None:
        msg = f"model {model_uri} has no signature: no feed can be read from it; log it with one"
        raise ContractError(msg)
    columns = (
        _of_tensor(signature, model_uri) if signature.inputs.is_tensor_spec() else _of_columns(signature, model_uri)
    )
    notes = [
        f"Proposed from the signature of {model_uri}.",
        "Add what it cannot know: min, max, allowed; columns with role key, time, target or carry.",
    ]
    return feed_text(name, model_uri, ",", columns, f"model {model_uri}", notes)


def feed_text(
    name: str,
    model_uri: str,
    delimiter: str,
    columns: Sequence[Mapping[str, object]],
    origin: str,
    notes: Sequence[str],
) -> str:
    """The text of a `schemas/<name>.yaml`, the notes as comments above it.

    Args:
        origin: what the columns were made of, for the message.

    Raises:
        FeedError: these columns make no feed.
    """
    csv = {"delimiter": delimiter, "header": "exact"}
    try:
        Feed.model_validate({"name": name, "model": model_uri, "csv": csv, "columns": columns})
    except ValidationError as error:
        msg = f"no feed can be made of {origin}: {first_problem(error, Feed)}"
        raise FeedError(msg) from error
    return "\n".join(
        [
            *(f"# {note}" for note in notes),
            f"name: {name}",
            f"model: {_inline(model_uri)}",
            f"csv: {{delimiter: {json.dumps(delimiter)}, header: exact}}",
            "columns:",
            *(f"  - {_inline(dict(column))}" for column in columns),
            "",
        ]
    )


def _of_columns(signature: "ModelSignature", model_uri: str) -> list[dict[str, str | bool]]:
    found: list[dict[str, str | bool]] = []
    for number, spec in enumerate(signature.inputs.inputs):
        kind = str(getattr(spec.type, "name", spec.type))
        column_name = str(spec.name if spec.name is not None else f"x{number}")
        if kind not in TYPES:
            msg = f"model {model_uri} wants '{column_name}' as {kind}, which no CSV column holds; wrap it in a pyfunc"
            raise ContractError(msg)
        found.append({"name": column_name, "type": TYPES[kind]} | ({} if spec.required else {"nullable": True}))
    return found


def _of_tensor(signature: "ModelSignature", model_uri: str) -> list[dict[str, str | bool]]:
    spec = signature.inputs.inputs[0]
    kind = TENSOR_TYPES.get(str(spec.type))
    if len(signature.inputs.inputs) > 1 or len(spec.shape) != 2 or spec.shape[1] < 1 or kind is None:
        msg = f"model {model_uri} wants {spec}, wanted one tensor of (-1, number of columns); wrap it"
        raise ContractError(msg)
    return [{"name": f"x{number}", "type": kind} for number in range(spec.shape[1])]


def _inline(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    return text.removesuffix("...\n").strip()
