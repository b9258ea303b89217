"""When a rule is inactive, pending, firing or recovering.

    inactive ──bad──▶ pending ──bad, `for` over──▶ firing ◀──not clear── recovering
        ▲               │                            └──clear──▶ recovering │
        └──not bad──────┘                                                   │
        ▲──────────────────────── resolved: `keep_firing_for` over ─────────┘

Without `for` a rule is never pending, without `keep_firing_for` never recovering. It gets from pending to firing by an
observation only: who sees nothing does not know whether the condition still holds.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from schemas.alerts import AnyRule

State = Literal["inactive", "pending", "firing", "recovering"]
Turn = Literal["pending", "inactive", "firing", "recovering", "resolved"]


@dataclass(frozen=True, slots=True)
class Phase:
    """What a rule is in, and since when.

    Attributes:
        begun: the begin of the episode, from `pending` on.
        version: of the table then.
        since: the condition holds: `begun`, or earlier where the clock was set back.
        clear_since: the condition does not hold, while it recovers.
    """

    state: State = "inactive"
    begun: datetime | None = None
    version: int = -1
    since: datetime | None = None
    clear_since: datetime | None = None


def turned(
    rule: AnyRule, phase: Phase, at: datetime, version: int, *, is_bad: bool, is_clear: bool
) -> tuple[Phase, Turn | None]:
    """What becomes of a phase by an observation, and the turn that it is; None where it goes on.

    To fire again while it recovers is no turn: it is the same episode.
    """
    match phase.state:
        case "inactive" if is_bad:
            begun = Phase("pending", at, version, at)
            return (begun, "pending") if rule.for_ else (replace(begun, state="firing"), "firing")
        case "pending" if not is_bad:
            return Phase(), "inactive"
        case "pending" if phase.since and at - phase.since >= rule.for_:
            return replace(phase, state="firing"), "firing"
        case "firing" if is_clear:
            if not rule.keep_firing_for:
                return Phase(), "resolved"
            return replace(phase, state="recovering", clear_since=at), "recovering"
        case "recovering" if not is_clear:
            return replace(phase, state="firing", clear_since=None), None
    return phase, None


def set_back(phase: Phase, to: datetime) -> Phase:
    """A phase once the clock was set back: nothing in it is in the future."""
    times = {name: getattr(phase, name) for name in ("since", "clear_since")}
    return replace(phase, **{name: min(at, to) for name, at in times.items() if at})


def resolves_at(rule: AnyRule, phase: Phase) -> datetime | None:
    """When it is resolved if nothing bad comes before; None if it does not recover."""
    return phase.clear_since + rule.keep_firing_for if phase.clear_since else None
