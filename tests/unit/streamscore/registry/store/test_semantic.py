"""Which versions a range takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SettingsError
from streamscore.registry.store.semantic import SemanticVersion, Wanted, is_semantic

number = st.integers(0, 999)
version = st.builds(SemanticVersion, number, number, number)


@pytest.mark.parametrize(
    ("asked", "takes", "leaves"),
    [
        ("1.2.0", ["1.2.0"], ["1.2.1", "1.1.9"]),
        ("latest", ["0.0.0", "9.9.9"], []),
        ("^1", ["1.0.0", "1.9.0"], ["0.9.9", "2.0.0"]),
        ("^1.2", ["1.2.0", "1.10.0"], ["1.1.9", "2.0.0"]),
        ("^1.2.3", ["1.2.3", "1.3.0"], ["1.2.2", "2.0.0"]),
        ("^0.2", ["0.2.0", "0.2.9"], ["0.3.0", "0.1.9"]),
        ("^0.2.3", ["0.2.3", "0.2.4"], ["0.3.0", "0.2.2"]),
        ("^0.0.3", ["0.0.3"], ["0.0.4", "0.0.2"]),
        ("^0", ["0.0.0", "0.9.0"], ["1.0.0"]),
        ("^0.0", ["0.0.9"], ["0.1.0"]),
    ],
)
def test_a_range_takes_what_breaks_nothing(asked: str, takes: list[str], leaves: list[str]) -> None:
    wanted = Wanted.parse(asked)
    assert [one for one in takes + leaves if wanted.includes(SemanticVersion.parse(one))] == takes


@pytest.mark.parametrize(
    "text", ["", "1", "1.2", "v1.2.0", "01.2.0", "1.2.0-rc1", "^", "~1.2", ">=1", "1.2.0\n", "١.٢.٠"]
)
def test_anything_else_is_refused(text: str) -> None:
    assert not is_semantic(text)
    with pytest.raises(SettingsError, match="wanted"):
        Wanted.parse(text)


@given(version, version)
def test_a_version_and_its_folder_say_the_same(one: SemanticVersion, other: SemanticVersion) -> None:
    assert SemanticVersion.parse(str(one)) == one == SemanticVersion.of_folder(one.folder)
    assert Wanted.parse(f"^{one}").includes(one)
    if Wanted.parse(f"^{one}").includes(other):
        assert other >= one and (one.major or other.major) == other.major
