"""Who put which version into Production when: one tag of the registered model for each promotion.

The alias alone decides what is in Production. The history tells how it came there, and the way back.
"""

import json
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

PROMOTION = "streamscore.promotion."  # then the time and, since two may promote at once, four letters of their own
STAMP = "%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True, slots=True)
class Promotion:
    """Who put which version into Production when.

    Attributes:
        previous: the version before it, or null.
        rollback: whether it was the way back.
    """

    name: str
    version: str
    previous: str | None
    by: str
    at: datetime
    rollback: bool = False

    def to_tag(self) -> tuple[str, str]:
        """Name and value of its tag; names sort by time."""
        value = {"by": self.by, "from": self.previous, "to": self.version, "rollback": self.rollback}
        return f"{PROMOTION}{self.at.astimezone(UTC).strftime(STAMP)}-{secrets.token_hex(2)}", json.dumps(value)


def promotions(name: str, tags: Mapping[str, str]) -> list[Promotion]:
    """The promotions in a registered model's tags, oldest first; a tag that somebody changed is passed over."""
    found = []
    for tag in sorted(tag for tag in tags if tag.startswith(PROMOTION)):
        try:
            at = datetime.strptime(tag.removeprefix(PROMOTION).rpartition("-")[0], STAMP).replace(tzinfo=UTC)
            said = json.loads(tags[tag])
            found.append(Promotion(name, said["to"], said["from"], said["by"], at, said["rollback"]))
        except (ValueError, TypeError, KeyError):
            continue
    return found


def version_before(history: Iterable[Promotion], current: str, there: Collection[str]) -> str | None:
    """The version that was in Production before the current one; None if there was none.

    A promotion adds to the way back, a rollback takes from it, so that rolling back again leads further back. What
    another tool put into Production is part of the way, as far as promotions met it.

    Args:
        history: oldest first.
        there: the versions that still exist; others are passed over.
    """
    way: list[str] = []
    for promotion in history:
        _arrive(way, promotion.previous)
        if promotion.rollback and promotion.version in way:
            while way[-1] != promotion.version:
                way.pop()
        _arrive(way, promotion.version)
    _arrive(way, current)
    return next((version for version in reversed(way[:-1]) if version in there and version != current), None)


def _arrive(way: list[str], version: str | None) -> None:
    if version and way[-1:] != [version]:
        way.append(version)
