"""`streamscore schema`: a feed's YAML out of a model's signature, or of columns that were found some other way."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import yaml
from pydantic import ValidationError

from schemas.columns import folded, snake_case
from schemas.errors import FeedError
from schemas.feed import RESERVED, Feed, first_problem
from schemas.model_inputs import ModelInput, inputs_of
from schemas.signature import output_type

if TYPE_CHECKING:
    from mlflow.models import ModelSignature


def feed_from_signature(name: str, signature: "ModelSignature | None", model_uri: str, title: str = "") -> str:
    """The text of a `schemas/<name>.yaml` whose features are the model's inputs; ranges, keys, target are left to you.

    Args:
        title: what messages call the version; else the URI.

    Raises:
        ContractError: the model has no signature, an input that no CSV column can hold, or such an output.
        FeedError: the names make no feed, e.g. two that are one to the reader of headers.
    """
    columns = [_column(one) for one in inputs_of(signature, title or model_uri).columns]
    output_type(signature, title or model_uri)
    notes = [
        f"Proposed from the signature of {model_uri}.",
        "Add what it cannot know: min, max, allowed; columns with role key, time, target or carry.",
    ]
    csv = {"delimiter": ",", "header": "exact"}
    return feed_text(name, model_uri, csv, columns, f"model {model_uri}", notes)


def feed_text(
    name: str,
    model_uri: str,
    csv: Mapping[str, str],
    columns: Sequence[Mapping[str, object]],
    origin: str,
    notes: Sequence[str],
    kind: str = "rows",
) -> str:
    """The text of a `schemas/<name>.yaml`, the notes as comments above it.

    Columns that could not have their own name in the tables get a `table_column`.

    Args:
        csv: the feed's dialect.
        origin: what the columns were made of, for the message.

    Raises:
        FeedError: these columns make no feed.
    """
    columns = list(_apart_in_tables(columns))
    try:
        Feed.model_validate({"name": name, "kind": kind, "model": model_uri, "csv": dict(csv), "columns": columns})
    except ValidationError as error:
        msg = f"no feed can be made of {origin}: {first_problem(error, Feed)}"
        raise FeedError(msg) from error
    return "\n".join(
        [
            *(f"# {note}" for note in notes),
            f"name: {name}",
            *([] if kind == "rows" else [f"kind: {kind}"]),
            f"model: {_inline(model_uri)}",
            "csv: {" + ", ".join(f"{key}: {_dialect_word(key, word)}" for key, word in csv.items()) + "}",
            "columns:",
            *(f"  - {_inline(dict(column))}" for column in columns),
            "",
        ]
    )


def _apart_in_tables(columns: Sequence[Mapping[str, object]]) -> Iterator[Mapping[str, object]]:
    """The columns, with a `table_column` where another one, or the stream, has the name in the tables."""
    taken = {"", *map(folded, RESERVED)}
    for column in columns:
        own = snake_case(str(column["name"]))
        numbered = (f"{own or 'column'}_{number}" for number in itertools.count(2))
        free = next(name for name in itertools.chain([own], numbered) if folded(name) not in taken)
        taken.add(folded(free))
        yield (
            {"name": column["name"], "type": column["type"], "table_column": free} | dict(column)
            if free != own
            else column
        )


def _column(one: ModelInput) -> dict[str, object]:
    column: dict[str, object] = {"name": one.name, "type": one.type.takes[0]}
    if one.nullable:
        column["nullable"] = True
    if one.type.limits:
        column["min"], column["max"] = one.type.limits
    return column


def _dialect_word(key: str, word: str) -> str:
    return json.dumps(word) if key == "delimiter" else word


def _inline(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    return text.removesuffix("...\n").strip()
