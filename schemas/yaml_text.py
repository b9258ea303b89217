"""YAML as it was written: a key twice is refused, and what YAML took for another type is told."""

from collections.abc import Hashable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml

from schemas.errors import FeedError

_READ_AS: dict[type, str] = {
    bool: "true or false",
    datetime: "a time",
    date: "a date",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def read_yaml(path: Path) -> Any:
    """What a YAML file holds.

    Raises:
        FeedError: it cannot be read, is not UTF-8 or not YAML, or has a key twice; names the file, and the line.
    """
    try:
        return yaml.load(path.read_text("utf-8"), _OnceLoader)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}; see its rights"
        raise FeedError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path} is not UTF-8 ({error.reason} at byte {error.start + 1}); save it as UTF-8"
        raise FeedError(msg) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date as 2024-13-01
        msg = f"{path} is not YAML: {' '.join(str(error).split())}"
        raise FeedError(msg) from error


def misread(value: object) -> str:
    """How YAML came to read text as another type, and how to write it as text."""
    texts = {True: "yes", False: "no", None: "null"}
    text = texts[value] if isinstance(value, bool | None) else value
    return f'which YAML reads as {_READ_AS.get(type(value), "no text")}; write text in quotes, as in "{text}"'


def shown(value: object) -> str:
    """A value as it may stand in YAML."""
    return {True: "true", False: "false", None: "null"}[value] if isinstance(value, bool | None) else repr(value)


class _OnceLoader(yaml.SafeLoader):
    """Refuses a mapping that has a key twice: PyYAML takes the last one, and forgets the first."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            key = (key_node.tag, key_node.value) if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and key in seen:
                problem = f"key '{key_node.value}' is there twice; leave one"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: Any) -> Any:
        value = super().construct_scalar(node)
        try:
            str(value).encode()
        except UnicodeEncodeError as error:  # "\ud800" alone, as JSON writes half of a character
            problem = f"found {value!a}, which is half of a character; write it whole"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error
        return value
