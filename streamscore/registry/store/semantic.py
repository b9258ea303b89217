"""Semantic versions, and what asks for one: exact, `latest`, or a range such as `^1.2`."""

import re
from dataclasses import dataclass
from typing import Self

from schemas.errors import SettingsError

NUMBER = r"(0|[1-9][0-9]{0,8})"
EXACT = re.compile(rf"{NUMBER}\.{NUMBER}\.{NUMBER}")
FOLDER = re.compile(rf"{NUMBER}_{NUMBER}_{NUMBER}")
RANGE = re.compile(rf"\^{NUMBER}(?:\.{NUMBER}(?:\.{NUMBER})?)?")
LATEST = "latest"
WANTED = "three numbers as in 1.2.0, 'latest', or a range as ^1.2"


@dataclass(frozen=True, slots=True, order=True)
class SemanticVersion:
    """A version of three numbers; one is greater than another if it came later in the sense of Semantic Versioning."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Of `1.2.0`.

        Raises:
            SettingsError: it is something else.
        """
        if not (found := EXACT.fullmatch(text)):
            msg = f"version '{text}': wanted three numbers, as in 1.2.0"
            raise SettingsError(msg)
        return cls(*map(int, found.groups()))

    @classmethod
    def of_folder(cls, name: str) -> Self | None:
        """Of the name of its folder, `1_2_0`; None if a folder of that name holds no version."""
        return cls(*map(int, found.groups())) if (found := FOLDER.fullmatch(name)) else None

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return f"{self.major}_{self.minor}_{self.patch}"

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which versions are asked for: all from `low` on that are below `below`, which is None where there is no limit.

    Attributes:
        exact: whether only `low` will do.
    """

    low: SemanticVersion
    below: SemanticVersion | None
    exact: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Of `1.2.0`, `latest`, or a range: `^1.2` takes what came after 1.2.0 and breaks nothing, so all below 2.0.0.

        The first number that is not 0 stays as it is, and of `^0` and `^0.0` the last one that is given.

        Raises:
            SettingsError: it is something else.
        """
        if text == LATEST:
            return cls(SemanticVersion(0, 0, 0), None)
        if EXACT.fullmatch(text):
            return cls(SemanticVersion.parse(text), None, exact=True)
        if not (found := RANGE.fullmatch(text)):
            msg = f"version '{text}': wanted {WANTED}"
            raise SettingsError(msg)
        given = [int(number) for number in found.groups() if number is not None]
        stays = next((at for at, number in enumerate(given) if number), len(given) - 1)
        above = [*given[:stays], given[stays] + 1]
        return cls(_filled(given), _filled(above))

    def includes(self, version: SemanticVersion) -> bool:
        """Whether that version will do."""
        if self.exact:
            return version == self.low
        return version >= self.low and (self.below is None or version < self.below)


def is_semantic(text: str) -> bool:
    """Whether it is one exact semantic version; MLflow's versions are whole numbers."""
    return EXACT.fullmatch(text) is not None


def _filled(numbers: list[int]) -> SemanticVersion:
    return SemanticVersion(*numbers, *[0] * (3 - len(numbers)))
