"""The API keys of the settings: who asks, and what that key is for.

The key of a request is in a variable of its context, so that what picks a model can ask without every route handing it
on; a route that forgot to would be open.
"""

import hashlib
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from fnmatch import fnmatchcase

from starlette.requests import Request

from jobs.serving.requests.problems import RequestError
from schemas.errors import SettingsError
from schemas.settings_online import HASH, Key

# These say nothing but whether the service is up, and those who ask have no keys.
OPEN = frozenset({"/ping", "/health", "/v2/health/live", "/v2/health/ready"})
CHALLENGE = {"WWW-Authenticate": "Bearer"}

_caller: ContextVar[Key | None] = ContextVar("caller", default=None)


def hash_of(key: str) -> str:
    """What the settings know a key by. Keys are random, so that no slow hash is needed against guessing."""
    return HASH + hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class Keys:
    """Every API key; without any, everybody may ask for predictions, and nobody may use the admin routes."""

    def __init__(self, keys: Sequence[Key]) -> None:
        """Take them as the settings have them.

        Raises:
            SettingsError: two have the same hash, so that it is not said which one is meant.
        """
        self._by_hash = _by_hash(keys)
        self._are_asked_for = bool(keys)

    def __bool__(self) -> bool:
        return self._are_asked_for

    def replace(self, keys: Sequence[Key]) -> None:
        """Take others. Without any, nobody is let in: a service that asks for keys never stops doing so.

        Raises:
            SettingsError: as of the first ones; then those go on.
        """
        self._by_hash = _by_hash(keys)
        self._are_asked_for = True

    def let_in(self, request: Request) -> None:
        """Take the key of a request as the caller's; it is asked for only if there are keys.

        Raises:
            RequestError: there is none, or one that is not known or has expired (401).
        """
        if self._are_asked_for:
            _caller.set(self._of(request))

    def let_in_admin(self, request: Request) -> None:
        """The same for an admin route.

        Raises:
            RequestError: as `let_in`; or it is no admin key (403).
        """
        key = self._of(request)
        if not key.admin:
            raise RequestError(403, f"key '{key.name}' is no admin key")
        _caller.set(key)

    def _of(self, request: Request) -> Key:
        given = request.headers.get("x-api-key") or _bearer(request.headers.get("authorization", ""))
        if not given:
            detail = "no API key; send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'"
            raise RequestError(401, detail, headers=CHALLENGE)
        key = self._by_hash.get(hash_of(given))
        if key is None or key.is_over():
            what = "the API key is not known" if key is None else f"the API key '{key.name}' has expired"
            raise RequestError(401, what, headers=CHALLENGE)
        return key


def _by_hash(keys: Sequence[Key]) -> dict[str, Key]:
    found: dict[str, Key] = {}
    for key in keys:
        if other := found.get(key.hash):
            msg = f"serving.keys: '{other.name}' and '{key.name}' are the same key; leave one"
            raise SettingsError(msg)
        found[key.hash] = key
    return found


def caller() -> str:
    """The name of the key that the running request came with; empty: it came without one."""
    key = _caller.get()
    return key.name if key else ""


def may_ask(model: str) -> bool:
    """Whether the caller may know of a model, and have its predictions."""
    key = _caller.get()
    return key is None or _fits(model, key.predict)


def assert_may_ask(model: str) -> None:
    """Refuse a model that the caller may not ask.

    Raises:
        RequestError: 403.
    """
    if not may_ask(model):
        raise RequestError(403, f"key '{caller()}' may not ask model '{model[:100]}'")


def assert_may_ask_for(user: str) -> None:
    """Refuse a user that the caller may not predict for.

    Raises:
        RequestError: 403.
    """
    key = _caller.get()
    if key is not None and not _fits(user, key.users):
        raise RequestError(403, f"key '{key.name}' may not predict for this user")


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _bearer(header: str) -> str:
    scheme, _, key = header.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
