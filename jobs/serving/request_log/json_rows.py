"""Rows and predictions as JSON, for a table that has no columns of their types."""

import json
from collections.abc import Collection
from typing import Any

import orjson

from jobs.serving.requests.values import Values


def row_json(values: Values, at: int, leave_out: Collection[str]) -> str:
    """One row of a request, without the columns that are to be left out."""
    return json_of({name: column[at] for name, column in values.columns.items() if name not in leave_out})


def json_of(value: Any) -> str:
    """A value; what JSON has no type for, as text."""
    try:
        return orjson.dumps(value, default=str).decode()
    except TypeError:  # a number of more than 64 bits
        return json.dumps(value, default=str)
