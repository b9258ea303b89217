"""What the operations of the OpenAPI document are made of."""

from typing import Any

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
    responses = {"200": done, "404": problem("no such model"), "503": problem("try again")}
    return {"operationId": name, "summary": summary, "responses": responses}


def problem(what: str) -> dict[str, Any]:
    """A refusal."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": what, "content": {"application/problem+json": {"schema": schema}}}


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
