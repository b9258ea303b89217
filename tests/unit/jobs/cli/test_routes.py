"""`streamscore routes` and `streamscore serve-key`, in this process."""

import json
import re
from pathlib import Path

import pytest

from jobs.cli import main
from jobs.serving.access.keys import hash_of
from schemas.settings_online import Key

TABLE = "keys: {alice: wine}\npatterns: {'eu-*': 'store:/beer/^1'}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "routes.yaml").write_text(TABLE)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert not ended.value.code
    return capsys.readouterr().out.strip()


def test_a_table_goes_from_its_file_into_a_database(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    of_file = json.loads(said(capsys, "routes", "list"))
    monkeypatch.setenv("STREAMSCORE_ROUTING__ROUTES", "sqlite:///routes.db")
    assert said(capsys, "routes", "push", "conf/routes.yaml") == "routes in sqlite:///routes.db are at version 1"
    of_database = json.loads(said(capsys, "routes", "list"))
    assert of_database.pop("version") == "1" and len(of_file.pop("version")) == 12
    assert of_database == of_file
    assert json.loads(said(capsys, "routes", "find", "eu-7")) == {"model": "store:/beer/^1"}
    assert said(capsys, "routes", "find", "us-7") == "no route"


def test_a_file_is_not_pushed_to(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["routes", "push", "conf/routes.yaml"])
    assert ended.value.code == 2
    assert "wanted the URL of a database" in capsys.readouterr().err


def test_a_key_and_the_entry_that_knows_it(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "serve-key", "web", "--predict", "[a-z]*", "--user", "eu-*", "--expires", "2030-01-01")
    key, entry = re.fullmatch(r"key, shown only now: (\S+)\n.*: - (\{.*\})", text).groups()  # type: ignore[union-attr]
    made = Key(**json.loads(entry))
    assert made.hash == hash_of(key)
    assert (made.predict, made.users, made.admin, str(made.expires)) == (("[a-z]*",), ("eu-*",), False, "2030-01-01")


def test_an_admin_key_asks_no_model_unless_that_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    assert '"predict"' not in said(capsys, "serve-key", "ci", "--admin")
    assert '"predict": ["*"]' in said(capsys, "serve-key", "ci", "--admin", "--predict", "*")
    assert '"predict": ["*"]' in said(capsys, "serve-key", "web")
