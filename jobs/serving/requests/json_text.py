"""JSON as the service takes it: UTF-8, no key twice, no NaN, nothing too deep."""

import json
from itertools import chain
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
    quotes = body.count(b'"')
    if b"\\" in body or quotes != 2 * _strings(value, quotes // 2):
        try:
            json.loads(body, object_pairs_hook=_without_doubles)
        except RecursionError as error:
            raise RequestError(400, "the body is nested too deep") from error
    return value


def _strings(value: Any, most: int) -> int:
    """How many strings a value is made of, keys included; all values of one depth are looked at together.

    Args:
        most: how many the text has. When they are found, nothing deeper holds another one: rows of numbers are not
            looked into.
    """
    found, level = 0, [value]
    while level and found < most:
        kinds = list(map(type, level))
        found += kinds.count(str)
        objects = [one for one, kind in zip(level, kinds, strict=True) if kind is dict] if dict in kinds else []
        lists = [one for one, kind in zip(level, kinds, strict=True) if kind is list] if list in kinds else []
        found += sum(map(len, objects))
        if found < most:
            level = [*chain.from_iterable(map(dict.values, objects)), *chain.from_iterable(lists)]
    return found


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise RequestError(400, f"the key '{key}' is there twice in one object, wanted once")
        found[key] = value
    return found
