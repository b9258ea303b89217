"""What was found in data that are to be trained on."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Literal, Self

from schemas.errors import FeedError

Level = Literal["error", "warning"]

ACTS = {
    "skew": "split otherwise, or raise validation.skew",
    "drift": "look into it, or raise validation.drift",
    "same_key": "write split: {by: key}",
    "constant": "give data in which it varies, or of a feature alone set validation: {constant: warning}",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about one column of one split.

    Attributes:
        check: a reason code of the quarantine (`out_of_range`, …), or `skew`, `drift`, `constant`, `leak`, `same_key`.
        split: `fitted` or `held_out`.
        found, wanted: ends of the sentences "it is …" and "wanted …".
    """

    level: Level
    check: str
    column: str
    split: str
    found: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Findings:
    """All of them, column by column within each check."""

    items: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Those that stop the run."""
        return tuple(finding for finding in self.items if finding.level == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Those that do not."""
        return tuple(finding for finding in self.items if finding.level == "warning")

    def of(self, check: str) -> tuple[Finding, ...]:
        """Those of one check."""
        return tuple(finding for finding in self.items if finding.check == check)

    def as_warnings(self, check: str) -> Self:
        """The same, but what one check found stops no run."""
        return replace(self, items=tuple(replace(f, level="warning") if f.check == check else f for f in self.items))

    def to_json(self) -> str:
        """As text, for the run's artifact: a list of objects with the keys of `Finding`."""
        return json.dumps([asdict(finding) for finding in self.items], indent=1, ensure_ascii=False)


def assert_valid(findings: Findings, source: str) -> None:
    """Stop where there are errors.

    Args:
        source: of the data, for the message.

    Raises:
        FeedError: its first line names the first one and says how many there are; below it all findings.
    """
    if not findings.errors:
        return
    first, count = findings.errors[0], len(findings.errors)
    act = ACTS.get(first.check, "leave these rows out or widen the column in the feed's file")
    raise FeedError(
        f"{source}: '{first.column}' is {first.found} ({first.split.replace('_', '-')}), wanted {first.wanted}; "
        f"{count} error{'s' if count > 1 else ''} in all; {act}\n"
        + "\n".join(f"  {f.level}: '{f.column}' ({f.split}) is {f.found}, wanted {f.wanted}" for f in findings.items)
    )
