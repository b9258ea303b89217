"""A command prints safely, whatever it was started with."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.cli import main
from jobs.cli.options import out

CLOSED = """
import os, sys
for number in {closed}:
    os.close(number)
sys.stdin = sys.stdout = sys.stderr = None  # as Python has them if they are closed when it starts
from jobs.cli.terminal import prepare
prepare()
with open("journal", "w") as file:
    assert file.fileno() > 2, file.fileno()
    os.write(1, b"printed"), os.write(2, b"printed")
print("printed", flush=True), print("printed", file=sys.stderr, flush=True)
"""


def test_what_is_printed_where_nothing_is_open_comes_into_no_file(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", CLOSED.format(closed=[0, 1, 2])]
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, timeout=120)
    assert (done.returncode, (tmp_path / "journal").read_text()) == (0, "")


def test_a_folder_that_is_gone_and_a_terminal_of_another_encoding_are_no_surprise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.csv").write_text("größe\n1.5\n2\n")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONIOENCODING": "ascii",
        "COLUMNS": "0",
    }
    command = [sys.executable, "-m", "jobs.cli", "schema", "--from-data", "in.csv", "--name", "x"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"") and b"name: gr\\xf6\\xdfe" in done.stdout
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "0")
    monkeypatch.setattr(out, "_width", 0)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(SystemExit) as ended:
        main(["schema", "--from-data", str(tmp_path / "in.csv"), "--name", "x"])
    assert (ended.value.code, out.width, "COLUMNS" in os.environ) == (2, 80, False)
