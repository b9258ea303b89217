"""The files in examples/schedule are what their schedulers read, and call commands and flags that there are."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from jobs.cli import app

FOLDER = Path(__file__).parents[3] / "examples" / "schedule"
COMMAND = re.compile(r"streamscore (\w+)((?: [-\w]+)*)")


def commands(text: str) -> list[Any]:
    """The commands in a text that is not a comment: name and flags."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [(found[1], re.findall(r" (--[-\w]+)", found[2])) for found in COMMAND.finditer(code)]


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_an_example_calls_commands_and_flags_that_there_are(path: Any) -> None:
    command: Any = typer.main.get_command(app)
    known = command.commands
    called = commands(path.read_text())
    assert {"train", "run"} & {name for name, _ in called}
    for name, flags in called:
        assert name in known
        options = {flag for parameter in known[name].params for flag in parameter.opts}
        assert set(flags) <= options


def test_a_script_can_be_started() -> None:
    assert all(path.stat().st_mode & 0o111 for path in FOLDER.glob("*.sh"))


def test_the_crontab_has_five_fields_before_its_command() -> None:
    text = (FOLDER / "crontab").read_text()
    (line,) = [line for line in text.splitlines() if re.match(r"[\d*]", line)]
    *fields, command = line.split(maxsplit=5)
    assert len(fields) == 5 and all(re.fullmatch(r"[\d*/,-]+", field) for field in fields)
    assert command.startswith("cd ")
    assert "%" not in command  # which cron takes for the end of the line


def test_the_dag_is_python_and_takes_the_gates_no_for_no_failure() -> None:
    calls = [n for n in ast.walk(ast.parse((FOLDER / "airflow_dag.py").read_text())) if isinstance(n, ast.Call)]
    (task,) = [call for call in calls if ast.unparse(call.func) == "BashOperator"]
    given = {keyword.arg: keyword.value for keyword in task.keywords}
    assert ast.literal_eval(given["skip_on_exit_code"]) == 3


def test_the_workflow_runs_on_a_schedule_and_by_hand() -> None:
    workflow = yaml.safe_load((FOLDER / "github-actions.yml").read_text())
    on = workflow[True]  # YAML 1.1 reads `on` so
    assert len(on["schedule"][0]["cron"].split()) == 5
    assert "workflow_dispatch" in on
    (job,) = workflow["jobs"].values()
    assert all("run" in step or "uses" in step for step in job["steps"])
