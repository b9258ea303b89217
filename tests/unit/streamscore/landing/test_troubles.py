"""What is wrong in a landing folder is told once, however often it is met, and by whatever process."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from streamscore.landing.troubles import (
    KEPT,
    PASSED_OVER,
    Trouble,
    Troubles,
    from_message,
    printable,
    read_troubles,
    to_message,
)
from streamscore.storage.folder import LocalFolder


class Driver:
    """The process that reports; each is a new start."""

    def __init__(self, checkpoint: Path) -> None:
        self.troubles, self.told = Troubles(LocalFolder(checkpoint)), list[str]()

    def hear(self, new: Sequence[Trouble], over: Sequence[Trouble]) -> bool:
        self.troubles.take(*from_message(json.loads(json.dumps(to_message(new, over)))) or ([], []))
        self.troubles.tell(self._report)
        return True

    def _report(self, new: Sequence[Trouble], over: Sequence[Trouble]) -> bool:
        self.told += [trouble.detail for trouble in new]
        self.troubles.keep()
        return True


def kept(checkpoint: Path) -> list[str]:
    return [trouble.name for trouble in read_troubles(LocalFolder(checkpoint))]


def test_a_trouble_is_told_once_by_all_starts(tmp_path: Path) -> None:
    for expected in (["pipe.csv: a FIFO"], []):
        source, driver = Troubles(LocalFolder(tmp_path)), Driver(tmp_path)
        for _ in range(3):
            source.note(PASSED_OVER, "pipe.csv", "a FIFO")
            source.tell(driver.hear)
        assert driver.told == expected
    assert kept(tmp_path) == ["pipe.csv"]


def test_a_trouble_that_is_over_is_forgotten_and_told_when_it_comes_back(tmp_path: Path) -> None:
    source, driver = Troubles(LocalFolder(tmp_path)), Driver(tmp_path)
    for there in (["a"], [], ["a"]):
        for name in there:
            source.note(PASSED_OVER, name, "a FIFO")
        source.only(PASSED_OVER, there)
        source.tell(driver.hear)
        assert kept(tmp_path) == there
    assert driver.told == ["a: a FIFO", "a: a FIFO"]


def test_what_nobody_heard_is_told_again(tmp_path: Path) -> None:
    """A start that failed told nobody."""
    source = Troubles(LocalFolder(tmp_path))
    source.note(PASSED_OVER, "a", "a FIFO")
    source.tell(lambda new, over: False)
    driver = Driver(tmp_path)
    source.tell(driver.hear)
    assert driver.told == ["a: a FIFO"]


def test_a_million_of_them_are_not_told_one_by_one(tmp_path: Path) -> None:
    source, driver = Troubles(LocalFolder(tmp_path)), Driver(tmp_path)
    for number in range(KEPT + 10):
        source.note(PASSED_OVER, str(number), "a FIFO")
    source.tell(driver.hear)
    assert len(driver.told) == len(kept(tmp_path)) == KEPT


@pytest.mark.parametrize("text", ["", "rubbish", "[1]", '[{"kind": 1}]'])
def test_a_damaged_note_of_them_stops_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "troubles.json").write_text(text)
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a ü.csv", "a ü.csv"),
        ("a\nb\t\x1b[1m.csv", "a\\nb\\t\\x1b[1m.csv"),
        (b"\xe9.csv".decode("utf-8", "surrogateescape"), "\\xe9.csv"),
        ("\u202egnp.csv", "\\u202egnp.csv"),
    ],
)
def test_a_name_is_one_line_of_text(name: str, shown: str) -> None:
    assert printable(name) == shown


def test_long_names_stay_short_and_different() -> None:
    names = {printable("x" * 100 + middle + "y" * 900) for middle in "ab"}
    assert len(names) == 2 and max(map(len, names)) < 170
