"""What `streamscore` says before any command runs: its help, its version, the completion of its commands."""

import re
import subprocess
import sys
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from jobs.cli import app, main

COMMANDS = "run status maintain replay follow drift watch serve train promote models lineage compare sample".split()
COMMANDS += ["fetch", "schema", "doctor", "demo", "alerts", "routes", "store"]


def test_the_help_lists_the_commands_in_the_order_of_their_use() -> None:
    said = CliRunner().invoke(app, ["--help"]).output
    assert re.findall(r"^│ (\w+)  ", said.partition("Commands")[2], re.MULTILINE) == COMMANDS


def test_the_help_names_version_and_completion() -> None:
    said = " ".join(CliRunner().invoke(app, ["--help"]).output.split())
    assert "--version" in said
    assert "Tab completion: streamscore --install-completion" in said


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert not ended.value.code
    assert capsys.readouterr().out == f"streamscore {version('streamscore')}\n"


def test_completion_offers_the_commands() -> None:
    environment = {"_STREAMSCORE_COMPLETE": "complete_bash", "COMP_WORDS": "streamscore pro", "COMP_CWORD": "1"}
    done = CliRunner().invoke(app, [], env=environment, prog_name="streamscore")
    assert done.output.split() == ["promote"]


def test_the_help_imports_nothing_that_a_stream_needs() -> None:
    code = (
        "import sys, jobs.cli\n"
        "heavy = {'pyspark', 'mlflow', 'deltalake', 'sklearn', 'pandas', 'structlog', 'jobs.streaming'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
