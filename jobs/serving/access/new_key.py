"""A key that nobody had before, and what the settings say of it."""

import json
import secrets
from datetime import date

from jobs.serving.access.keys import hash_of
from schemas.settings_online import Key

PREFIX = "streamscore_"  # so that who finds one knows what it opens


def new_key(
    name: str,
    predict: tuple[str, ...] = (),
    users: tuple[str, ...] = ("*",),
    admin: bool = False,
    expires: date | None = None,
) -> tuple[str, Key]:
    """A random key of 256 bits, and its entry in `serving.keys`; the key itself is in neither settings nor logs."""
    key = PREFIX + secrets.token_urlsafe(32)
    return key, Key(name=name, hash=hash_of(key), predict=predict, users=users, admin=admin, expires=expires)


def entry_of(key: Key) -> str:
    """An entry of `serving.keys` as one line of YAML, which is JSON here."""
    said = key.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(said)
