"""JSON as the service takes it: UTF-8, no key twice, no NaN, nothing too deep."""

import json
from typing import Any

import orjson

from jobs.serving.requests.problems import RequestError


def parse_json(body: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        RequestError: it is no JSON, or an object has a key twice.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"the body is no JSON: {error}") from error
    # Where nothing is escaped, an object that had a key twice has a string less than the text.
    if b"\\" in body or body.count(b'"') != 2 * _strings(value):
        try:
            json.loads(body, object_pairs_hook=_without_doubles)
        except RecursionError as error:
            raise RequestError(400, "the body is nested too deep") from error
    return value


def _strings(value: Any) -> int:
    """How many strings a value is made of, keys included."""
    found, containers = 0, [[value]]
    while containers:
        inner = containers.pop()
        kinds = list(map(type, inner))
        found += kinds.count(str)
        if dict in kinds or list in kinds:
            for one, kind in zip(inner, kinds, strict=True):
                if kind is dict:
                    found += len(one)
                    containers.append(list(one.values()))
                elif kind is list:
                    containers.append(one)
    return found


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise RequestError(400, f"the key '{key}' is there twice in one object, wanted once")
        found[key] = value
    return found
