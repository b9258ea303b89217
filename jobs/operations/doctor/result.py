"""What a check says."""

from dataclasses import dataclass

from schemas.passwords import without_passwords


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a stream needs.

    Attributes:
        name: what was looked at.
        ok: whether a stream can run with it.
        found: what there is, and of a failure what was wanted.
        fix: of a failure, the one command that mends it.
        exit_code: of a failure, that of its kind; 0 is a warning, a stream runs all the same.
    """

    name: str
    ok: bool
    found: str
    fix: str = ""
    exit_code: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "found", without_passwords(self.found))
