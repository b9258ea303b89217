"""What one worker is asked to load or unload, all do."""

from pathlib import Path

from jobs.serving.models.wishes import Wishes


def test_the_other_workers_are_told_once_what_was_wanted_last(tmp_path: Path) -> None:
    first, second = Wishes(tmp_path / "wishes"), Wishes(tmp_path / "wishes")
    assert second.take() == {}
    for name, is_loaded in (("a", False), ("b", True), ("a", True), ("c", False)):
        first.add(name, is_loaded)
    assert second.take() == {"a": True, "b": True, "c": False}
    assert second.take() == {}
    second.add("b", is_loaded=False)
    assert first.take() == {"a": True, "b": False, "c": False}
    later = Wishes(tmp_path / "wishes")  # of a worker that takes the place of one that died
    assert later.take() == {"a": True, "b": False, "c": False}


def test_a_line_that_is_not_whole_waits(tmp_path: Path) -> None:
    wishes = Wishes(tmp_path / "wishes")
    wishes.add("a", is_loaded=True)
    with (tmp_path / "wishes").open("ab") as file:
        file.write(b'{"name": "b", ')
    assert wishes.take() == {"a": True}
    with (tmp_path / "wishes").open("ab") as file:
        file.write(b'"loaded": false}\n')
    assert wishes.take() == {"b": False}


def test_a_lone_worker_tells_nobody() -> None:
    wishes = Wishes(None)
    wishes.add("a", is_loaded=True)
    assert wishes.take() == {}
