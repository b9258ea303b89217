"""Rules of alerts are checked when they are read: each error names the rule, the key, what was found and wanted."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.alerts import Alerts, CountRule, alerts_of, load_alerts
from schemas.errors import SettingsError

VALUE = {"name": "high", "kind": "value", "column": "prediction", "above": 9}


def test_the_rules_that_are_on_by_default_are_right_and_named_in_the_docs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    rules = load_alerts().rules
    assert {"model_refused", "many_rejects", "no_predictions", "files_wait"} <= {rule.name for rule in rules}
    page = (Path(__file__).parents[3] / "docs" / "monitoring.md").read_text("utf-8")
    for rule in rules:
        assert rule.summary and rule.runbook == f"docs/monitoring.md#{rule.name}" and f"\n### {rule.name}\n" in page


def test_the_file_of_the_working_folder_is_read_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("conf").mkdir()
    Path("conf/alerts.yaml").write_text("rules: []\n")
    assert load_alerts() == Alerts(())


def test_durations_and_limits_are_typed() -> None:
    said = {"name": "busy", "kind": "count", "window": "1.5h", "per": "1m", "above": 3, "for": "90s"}
    (rule,) = alerts_of({"rules": [said]}, "a.yaml").rules
    assert isinstance(rule, CountRule)
    assert (rule.window, rule.per, rule.for_) == (timedelta(hours=1.5), timedelta(minutes=1), timedelta(seconds=90))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "valu"}, "rule 1 'high': 'kind' is 'valu'; did you mean 'value'?"),
        ({"kind": None}, "'kind' is None; wanted one of value, count, absence"),
        ({"colum": "x"}, "rule 1 'high': unknown key 'colum'; did you mean 'column'?"),
        ({"fo": "5m"}, "unknown key 'fo'; did you mean 'for'?"),
        ({"for": "5 min"}, "'for': found '5 min', wanted a number and a unit, such as 30s, 5m, 1h or 2d"),
        ({"for": 5}, "'for': found 5, wanted a number and a unit"),
        ({"name": "Too High"}, "'name': String should match pattern"),
        ({"above": None}, "wanted 'above' or 'below', found neither"),
        ({"above": float("nan")}, "'above': Input should be a finite number"),
        ({"values": ["a"]}, "found 'values' beside 'above' or 'below', wanted one of them"),
        ({"clear_above": 9.5}, "'clear_above' needs 'above', and lies on the inner side of it"),
        ({"clear_below": 1}, "'clear_below' needs 'below'"),
        ({"severity": "bad"}, "'severity': Input should be 'critical', 'warning' or 'info', found 'bad'"),
        ({"kind": "event", "events": ["refused"], "for": "1m"}, "unknown key"),
        ({"kind": "count", "window": "0s"}, "greater than"),
        ({"kind": "count", "window": "1m"}, "'column' and 'values' belong together"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=r"^conf/alerts\.yaml: rule 1") as caught:
        alerts_of({"rules": [VALUE | changes]}, "conf/alerts.yaml")
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ([], "wanted the key 'rules', perhaps"),
        ({"rules": {}}, "in each a list"),
        ({"rules": ["high"]}, "rule 1: found 'high', wanted a mapping"),
        ({"rules": [VALUE, VALUE]}, "two rules are called 'high'; rename one"),
    ],
)
def test_what_is_no_list_of_rules_is_told(said: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        alerts_of(said, "a.yaml")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ulr": "x"}, "receiver 1 'me': unknown key 'ulr'; did you mean 'url'?"),
        ({"url": "ftp://a"}, "'url': String should match"),
        ({"secret_env": "whsec_abc"}, "'secret_env': String should match"),
        ({"severities": ["bad"]}, "'severities.0': Input should be 'critical'"),
    ],
)
def test_what_is_wrong_with_a_receiver_is_named(changes: dict[str, Any], said: str) -> None:
    receiver = {"name": "me", "url": "https://example.org/in", "secret_env": "ALERTS_SECRET"}
    assert alerts_of({"rules": [], "receivers": [receiver]}, "a.yaml").receivers[0].name == "me"
    with pytest.raises(SettingsError) as caught:
        alerts_of({"rules": [], "receivers": [receiver | changes]}, "a.yaml")
    assert said in str(caught.value)
