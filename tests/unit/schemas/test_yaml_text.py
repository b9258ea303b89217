"""YAML that PyYAML reads as something else is refused, with its line."""

from pathlib import Path

import pytest

from schemas.errors import FeedError
from schemas.yaml_text import misread, read_yaml


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "f.yaml"


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3\n", "x: {a: 1, a: 2}", "- a: 1\n  a: 1\n", '"a": 1\na: 2\n'])
def test_a_key_twice_is_refused_with_its_line(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(FeedError, match=r"key 'a' is there twice; leave one.*line \d") as caught:
        read_yaml(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_merged_key_may_be_overridden(file: Path) -> None:
    file.write_text("base: &base {a: 1, b: 2}\nx: {<<: *base, a: 3}\n")
    assert read_yaml(file)["x"] == {"a": 3, "b": 2}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: caf\xe9\n", "is not UTF-8 .* at byte 10"),
        (b"name: [\n", "is not YAML"),
        (b"name: 2024-13-45\n", "is not YAML"),
        (b"name: a\0b\n", "is not YAML"),
        (b"{[a]: 1, {b: 1}: 2}\n", "is not YAML"),
        (b"[" * 900, "is not YAML"),
        (b'name: a\ncolumns: ["\\ud83d"]\n', r"found '\\ud83d', which is half of a character; write it whole.*line 2"),
    ],
)
def test_what_is_no_yaml_is_told_in_one_line(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(FeedError, match=message) as caught:
        read_yaml(file)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="cannot be read: Is a directory"):
        read_yaml(tmp_path)


@pytest.mark.parametrize(("value", "text"), [(True, "yes"), (False, "no"), (None, "null"), (1, "1"), (1.5, "1.5")])
def test_what_yaml_misread_is_told_with_quotes_around_it(value: object, text: str) -> None:
    assert misread(value).endswith(f'write text in quotes, as in "{text}"')
