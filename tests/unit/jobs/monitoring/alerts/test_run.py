"""A receiver is tried before it is needed."""

import json
from pathlib import Path

import pytest

from jobs.cli import main
from tests.support.receiver import SECRET, WebhookReceiver


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return tmp_path / "rules.yaml"


def said(rules: Path, url: str, name: str, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """Exit code, and what was printed."""
    receiver = {"name": "on_call", "url": url, "secret_env": "ALERTS_SECRET"}
    rules.write_text(json.dumps({"rules": [], "receivers": [receiver]}))
    with pytest.raises(SystemExit) as ended:
        main(["alerts", "test", name, "--rules", str(rules)])
    printed = capsys.readouterr()
    return ended.value.code or 0, printed.out + printed.err


def test_a_test_is_received(rules: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ALERTS_SECRET", SECRET)
    receiver = WebhookReceiver()
    assert said(rules, receiver.url, "on_call", capsys) == (0, "on_call: received (204)\n")
    receiver.close()
    assert receiver.types == ["alert.test"] and receiver.got[0][0].startswith("msg_")
    code, printed = said(rules, receiver.url, "on_call", capsys)
    assert code == 5 and "receiver 'on_call' did not take a test: no answer (ConnectionError); see its url" in printed


def test_what_is_wrong_is_told(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(rules, "http://127.0.0.1:9", "on_cal", capsys) == (
        2,
        "streamscore: no receiver 'on_cal'; did you mean 'on_call'?\n",
    )
    code, printed = said(rules, "http://127.0.0.1:9", "on_call", capsys)
    assert code == 2 and "the variable ALERTS_SECRET holds no secret" in printed
