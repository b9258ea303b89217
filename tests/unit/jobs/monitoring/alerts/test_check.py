"""Rules are tested against made-up rows in a file."""

from pathlib import Path

import pytest

from jobs.cli import main
from jobs.monitoring.alerts.check import CaseResult, check
from schemas.errors import SettingsError

RULES = "rules: [{name: high, kind: value, column: prediction, above: 9, for: 5m}]\n"
CASE = """
rules: rules.yaml
tests:
  - name: fires
    commits:
      - {at: 0s, rows: [{prediction: 9.5}], times: 3}
      - {at: 6m, rows: [{prediction: 9.5}]}
      - {at: 7m, rows: [{prediction: 1}]}
      - {at: 1h}
    expect:
      - {at: 6m, rule: high, state: firing}
      - {at: 7m, rule: high, state: resolved}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "tests.yaml").write_text(CASE)
    return tmp_path / "tests.yaml"


def test_a_test_is_passed_if_exactly_that_comes(file: Path) -> None:
    assert check(file) == [CaseResult("fires", (), ())]
    file.write_text(CASE.replace("at: 7m, rule", "at: 8m, rule"))
    assert check(file) == [CaseResult("fires", ("480s high resolved",), ("420s high resolved",))]
    file.write_text(CASE.replace("prediction: 9.5}], times", "predicton: 9.5}], times"))
    assert check(file)[0].unexpected == ("0s high error",)


def test_the_command_says_what_came_otherwise(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["alerts", "check", str(file)])
    assert (ended.value.code or 0, capsys.readouterr().out) == (0, "ok: fires\n")
    file.write_text(CASE.replace("at: 7m, rule", "at: 8m, rule"))
    with pytest.raises(SystemExit) as ended:
        main(["alerts", "check", str(file)])
    said = capsys.readouterr()
    assert ended.value.code == 3 and "1 of 1 tests failed" in said.err
    assert said.out == (
        "FAILED: fires\n  expected, and did not come: 480s high resolved\n"
        "  came, and is not expected: 420s high resolved\n"
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rule: high, state: firing", "rule: hihg, state: firing", "no rule 'hihg'; did you mean 'high'?"),
        ("times: 3", "time: 3", "unknown key 'tests.0.commits.0.time'; did you mean 'times'?"),
        (
            "state: firing",
            "state: pending",
            "'tests.0.expect.0.state': Input should be 'firing', 'resolved' or 'error'",
        ),
        ("at: 6m, rows", "at: 6, rows", "found 6, wanted a number and a unit"),
        ("tests:", "test:", "unknown key 'test'; did you mean 'tests'?"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(file: Path, old: str, new: str, said: str) -> None:
    file.write_text(CASE.replace(old, new, 1))
    with pytest.raises(SettingsError) as caught:
        check(file)
    assert said in str(caught.value) and str(file) in str(caught.value)
