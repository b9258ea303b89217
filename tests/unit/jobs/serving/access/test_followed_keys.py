"""Keys that change in the file of the settings."""

import time
from pathlib import Path

import pytest
from starlette.requests import Request

from jobs.serving.access.followed_keys import FollowedKeys
from jobs.serving.access.keys import Keys
from jobs.serving.access.new_key import entry_of, new_key
from jobs.serving.requests.problems import RequestError
from schemas.settings import load_settings
from schemas.settings_online import Key

FIRST, FIRST_ENTRY = new_key("first", ("*",))
SECOND, SECOND_ENTRY = new_key("second", ("*",), admin=True)


def text(*entries: Key) -> str:
    return "serving:\n  keys:\n" + "".join(f"    - {entry_of(entry)}\n" for entry in entries)


def is_in(keys: Keys, key: str) -> bool:
    try:
        keys._of(Request({"type": "http", "headers": [(b"x-api-key", key.encode())]}))
    except RequestError:
        return False
    return True


def test_keys_are_those_of_the_file_and_a_wrong_one_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "conf/own.yaml"
    file.parent.mkdir()
    file.write_text(text(FIRST_ENTRY))
    settings = load_settings("own")
    keys = Keys(settings.serving.keys)
    followed = FollowedKeys(keys, settings)

    def found(said: str | None) -> tuple[bool, bool]:
        """Who is let in once the file says something else."""
        if said is None:
            file.unlink()
        else:
            file.write_text(said)
        for _ in range(3):
            followed.look()
        return is_in(keys, FIRST), is_in(keys, SECOND)

    assert found(text(FIRST_ENTRY) + "landing: /other\n") == (True, False)
    assert found(text(FIRST_ENTRY, SECOND_ENTRY)) == (True, True)
    assert found(text(SECOND_ENTRY)) == (False, True)
    for wrong in ("serving: {keys: [", "serving: {kays: []}", text(SECOND_ENTRY, SECOND_ENTRY), None):
        assert found(wrong) == (False, True)
    assert found(text(FIRST_ENTRY)) == (True, False)
    assert found("landing: /other\n") == (False, False)
    assert keys  # they are still asked for
    said = capsys.readouterr().out
    assert (said.count("keys_refused"), said.count("keys_changed")) == (4, 4)
    assert FIRST not in said and FIRST_ENTRY.hash not in said


def test_half_a_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "conf/own.yaml"
    file.parent.mkdir()
    file.write_text(text(FIRST_ENTRY, SECOND_ENTRY))
    settings = load_settings("own")
    keys = Keys(settings.serving.keys)
    followed = FollowedKeys(keys, settings)
    for size in range(1, len(text(FIRST_ENTRY)), 7):
        file.write_text(text(FIRST_ENTRY)[:size])
        time.sleep(0.001)
        followed.look()
        assert is_in(keys, FIRST) and is_in(keys, SECOND)
