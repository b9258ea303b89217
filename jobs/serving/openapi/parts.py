"""What the operations of the OpenAPI document are made of."""

from collections.abc import Iterable
from typing import Any

from jobs.serving.requests.contract import Inputs
from schemas.columns import Column

_JSON_TYPES: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "int": {"type": "integer", "format": "int32"},
    "long": {"type": "integer", "format": "int64"},
    "float": {"type": "number", "format": "float"},
    "double": {"type": "number", "format": "double"},
    "date": {"type": "string", "format": "date"},
    "timestamp": {"type": "string", "format": "date-time"},
}


def operation(name: str, summary: str, answer: dict[str, Any]) -> dict[str, Any]:
    """An operation that answers with JSON."""
    done = {"description": "done", "content": {"application/json": {"schema": answer}}}
    responses = {"200": done, "default": problem("refused, or there is no answer now")}
    return {"operationId": name, "summary": summary, "responses": responses}


def problem(what: str) -> dict[str, Any]:
    """A refusal."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": what, "content": {"application/problem+json": {"schema": schema}}}


def refusal(schema: dict[str, Any]) -> dict[str, Any]:
    """A refusal in the words of another protocol."""
    return {"description": "refused", "content": {"application/json": {"schema": schema}}}


def row_of(inputs: Inputs, among: Iterable[Column]) -> dict[str, Any]:
    """A row of a model's inputs, of those among these columns."""
    columns = [c for c in among if c.name in inputs.names]
    return {
        "type": "object",
        "properties": {c.name: schema_of(c) for c in columns},
        "required": [c.name for c in columns if not c.nullable],
        "additionalProperties": False,
    }


def params_of(inputs: Inputs) -> dict[str, Any]:
    """The property `params` of a body; none if the signature has no params."""
    if not inputs.params:
        return {}
    found = {}
    for name, param in inputs.params.items():
        schema = schema_of(param.column) if param.column else {"type": "object"}
        if param.is_list:
            schema = {"type": "array", "items": schema}
        default = param.spec.to_dict()["default"]
        if default is None:
            schema = {"anyOf": [schema, {"type": "null"}]}
        found[name] = schema | {"default": default}
    return {"params": {"type": "object", "properties": found, "additionalProperties": False}}


def schema_of(column: Column) -> dict[str, Any]:
    """The values of a column."""
    schema = dict(_JSON_TYPES[column.type])
    if column.nullable:
        schema["type"] = [schema["type"], "null"]
    if column.min is not None:
        schema["minimum"] = column.min
    if column.max is not None:
        schema["maximum"] = column.max
    if column.allowed:
        schema["enum"] = [*column.allowed, *([None] if column.nullable else [])]
    return schema
