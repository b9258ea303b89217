"""A routing key → its route: by the key itself, else by the first pattern that fits, else the default."""

import fnmatch
import functools
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from schemas.errors import SettingsError
from schemas.feed import first_problem
from streamscore.registry.model_uri import FORMS, STORE, model_name
from streamscore.registry.reader import ALIAS

URIS = ("models:/", "runs:/", STORE)


def is_name(model: str) -> bool:
    """Whether a model is named without a URI."""
    return not model.startswith(URIS)


def uri_of(model: str) -> str:
    """The URI of the model of a route: of a name alone the version in Production."""
    return f"models:/{model}@{ALIAS}" if is_name(model) else model


def _name_of(model: str) -> str:
    return model if is_name(model) else model_name(model) or model


def _assert_model(model: str) -> str:
    if model.startswith(URIS) and model_name(model) + model.partition(":/")[2]:
        return model
    if not model or any(letter in model for letter in "/:@"):
        msg = f"wanted the name of a model, {FORMS}, or null, found '{model[:100]}'"
        raise ValueError(msg)
    return model


class Trial(BaseModel):
    """A candidate that is tried beside the model of a route.

    Attributes:
        model: as in a route.
        percent: of the keys. Which ones depends on the key and the candidate alone, so a key stays with its model.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[str, AfterValidator(_assert_model)]
    percent: float = Field(gt=0, le=100)

    @property
    def name(self) -> str:
        """As that of a route."""
        return _name_of(self.model)

    def has(self, key: str) -> bool:
        """Whether the candidate is tried with a key."""
        digest = hashlib.sha256(f"{self.model}\n{key}".encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8]) < self.percent / 100 * 2**64


class Shadow(Trial):
    """A candidate that answers nobody."""

    percent: float = Field(100.0, gt=0, le=100)


class Route(BaseModel):
    """The model that a routing key has.

    Attributes:
        model: a model URI, or the name of a registered model, whose version in Production it is; None: the key may use
            no model.
        canary: a candidate that answers for a part of the keys.
        shadow: a candidate that is asked, too, and answers nobody.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None
    canary: Trial | None = None
    shadow: Shadow | None = None

    @model_validator(mode="before")
    @classmethod
    def _a_model_alone(cls, value: Any) -> Any:
        return {"model": value} if value is None or isinstance(value, str) else value

    @field_validator("model")
    @classmethod
    def _is_a_model(cls, model: str | None) -> str | None:
        return None if model is None else _assert_model(model)

    @property
    def name(self) -> str:
        """The model's name, which says who may use it; of `runs:/…` the URI."""
        return _name_of(self.model or "")

    @property
    def is_name(self) -> bool:
        """Whether the model is named without a URI."""
        return is_name(self.model or "")

    def uris(self, key: str) -> tuple[str, ...]:
        """The URIs of the models that a key has, the one that is wanted most first; none if it may use no model."""
        tried = [self.canary.model] if self.canary and self.canary.has(key) else []
        return tuple(uri_of(model) for model in (*tried, self.model) if model) if self.model else ()

    def to_json(self) -> dict[str, Any]:
        """What of it is not at its default; the model always."""
        return {"model": self.model} | self.model_dump(exclude={"model"}, exclude_none=True)


class ModelInfoRepository(Protocol):
    """Which model a routing key has."""

    def find(self, key: str) -> Route | None:
        """The route of a key; None: nobody knows the key."""


class _Patterns:
    """Patterns by what stands before their first wildcard, so that ten thousand cost a key as little as ten."""

    def __init__(self, patterns: Mapping[str, Route]) -> None:
        self._by_start: dict[str, list[tuple[int, str, Route]]] = {}
        for number, (pattern, route) in enumerate(patterns.items()):
            start = re.split(r"[*?[]", pattern, maxsplit=1)[0]
            self._by_start.setdefault(start, []).append((number, pattern, route))
        self._lengths = sorted({len(start) for start in self._by_start})

    def find(self, key: str) -> Route | None:
        """The route of the first pattern that fits."""
        found: list[tuple[int, Route]] = []
        for length in self._lengths:
            for number, pattern, route in self._by_start.get(key[:length], ()):
                if fnmatch.fnmatchcase(key, pattern):  # which compiles a pattern when it is first asked
                    found.append((number, route))
                    break
        return min(found, key=lambda one: one[0])[1] if found else None


@dataclass(frozen=True)
class RouteTable:
    """Every route, at some moment.

    Attributes:
        version: of this table; another one for another table.
        keys: a key → its route.
        patterns: `*`, `?` and `[…]` as in file names → the route of the keys that fit, unless an earlier pattern does.
        default: the route of all other keys; None: they have none.
    """

    version: str
    keys: Mapping[str, Route] = field(default_factory=dict)
    patterns: Mapping[str, Route] = field(default_factory=dict)
    default: Route | None = None

    def find(self, key: str) -> Route | None:
        """The route of a key."""
        return self.keys.get(key) or self._patterns.find(key) or self.default

    def models(self) -> list[str]:
        """The URIs of the models of all routes, each once; those that most keys may have first."""
        routes = (*([self.default] if self.default else ()), *self.patterns.values(), *self.keys.values())
        named = (model for route in routes for model in (route.model, route.canary.model if route.canary else None))
        return list(dict.fromkeys(uri_of(model) for model in named if model))

    @functools.cached_property
    def has_shadows(self) -> bool:
        """Whether a route has a shadow."""
        routes = (*([self.default] if self.default else ()), *self.patterns.values(), *self.keys.values())
        return any(route.shadow for route in routes)

    @functools.cached_property
    def _patterns(self) -> "_Patterns":
        return _Patterns(self.patterns)

    def to_json(self) -> dict[str, Any]:
        """As it stands in a file."""
        said: dict[str, Any] = {"default": self.default.to_json()} if self.default else {}
        for block, routes in (("keys", self.keys), ("patterns", self.patterns)):
            said |= {block: {key: route.to_json() for key, route in routes.items()}} if routes else {}
        return said


class _File(BaseModel):
    """The table as a file has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: dict[str, Route] = {}
    patterns: dict[str, Route] = {}
    default: Route | None = None


def table_of(said: Any, where: str, version: str = "") -> RouteTable:
    """The table that somebody wrote down.

    Args:
        said: a mapping with `keys`, `patterns` and `default`; None: it is empty.
        version: of the table; where none is given, a digest of what it says.

    Raises:
        SettingsError: it is no such table; names the key, what was found and wanted.
    """
    try:
        file = _File.model_validate({} if said is None else said)
    except ValidationError as error:
        msg = f"{where}: {first_problem(error, _File)}"
        raise SettingsError(msg) from error
    table = RouteTable(version, file.keys, file.patterns, file.default)
    return table if version else RouteTable(digest_of(table), file.keys, file.patterns, file.default)


def digest_of(table: RouteTable) -> str:
    """Twelve hexadecimal digits of what a table says."""
    text = json.dumps(table.to_json())
    return hashlib.sha256(text.encode()).hexdigest()[:12]
