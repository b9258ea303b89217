"""Who commits to the tables of a feed: one run at a time, by name in a property of the tables.

A run takes the tables over before it scores. It changes the property by a commit of its own, and of two such commits
at once one fails. Each driver reads every log entry before the one that it puts, so it finds out without a look of its
own: who was taken over commits nothing any more. A checkpoint's own next run may take the tables over, `--recover`
may, and nobody else. So it does not matter which folder a checkpoint lies in, or how many copies there are of it.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from schemas.errors import ConflictError

OWNER = "streamscore.owner"  # property of predictions and quarantine
APP_IDS = "streamscore.app_id"  # property of predictions: the checkpoints that wrote it, comma-separated


@dataclass(frozen=True, slots=True)
class Owner:
    """A run that owns the tables.

    Attributes:
        number: of the takeover; the larger one is the later one.
        run: unique to one start.
        holder: process and machine.
        since: UTC.
    """

    number: int
    app_id: str
    run: str = ""
    holder: str = "an earlier version"
    since: str = ""

    @classmethod
    def of(cls, properties: Mapping[str, Any]) -> Self | None:
        """The owner that a table names; None if it names none.

        Versions before 0.3 named none, but listed the checkpoints: the last one is the owner.
        """
        try:
            said = json.loads(properties[OWNER])
            return cls(**{name: said[name] for name in cls.__slots__})
        except (KeyError, ValueError, TypeError):
            known = [app for app in properties.get(APP_IDS, "").split(",") if app]
            return cls(0, known[-1]) if known else None

    def to_property(self) -> str:
        """As the tables have it."""
        return _text(self)

    def __str__(self) -> str:
        since = f" since {self.since}" if self.since else ""
        return f"checkpoint {self.app_id} ({self.holder}{since})"


@functools.cache  # each commit compares it
def _text(owner: Owner) -> str:
    return json.dumps(asdict(owner), separators=(",", ":"))


def assert_owner(uri: str, properties: Mapping[str, Any], owner: Owner | None) -> None:
    """Refuse to commit to a table that another run owns by now.

    Raises:
        ConflictError: names the other one.
    """
    if owner is None or properties.get(OWNER) == owner.to_property():
        return
    other = Owner.of(properties)
    if other is None or other.run == owner.run:
        msg = f"{uri} was made anew by others and has no owner any more; start the stream again: streamscore run"
    else:
        msg = f"{uri} was taken over by {other}, and belonged to this run; stop one of the two drivers"
    raise ConflictError(msg)


def known_with(app_id: str, properties: Mapping[str, Any]) -> dict[str, str]:
    """The property that lists the checkpoints that the tables know, with this one."""
    known = [app for app in properties.get(APP_IDS, "").split(",") if app]
    return {APP_IDS: ",".join([*known, app_id] if app_id not in known else known)}


def owned_by(other: Owner, uri: str) -> str:
    """What a driver is told that meets another's tables."""
    return (
        f"{uri} belongs to {other}; stop that driver and start with its checkpoint, or, if it is gone, "
        f"take its tables over: streamscore run FEED --recover"
    )
