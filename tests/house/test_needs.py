"""On a machine with nothing but what `make setup` installs, a test that needs more is skipped and says what."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from services.programs import Program, missing

ROOT = Path(__file__).parents[2]


@pytest.fixture
def newcomer(tmp_path: Path) -> dict[str, str]:
    """A machine with git and Java, but without Go, openssl, strace, PostgreSQL and what services/tools.sh builds."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "programs").mkdir()
    for program in ("git", "java", "sh"):
        if found := shutil.which(program):
            (tmp_path / "bin" / program).symlink_to(found)
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "PYTEST_ADDOPTS")}
    return kept | {"PATH": str(tmp_path / "bin"), "SERVICES_PROGRAMS": str(tmp_path / "programs")}


def pytest_in(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pytest", "-m", "servers and not faults_long", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.repeats
def test_what_a_newcomer_lacks_is_skipped_with_the_way_to_get_it(newcomer: dict[str, str]) -> None:
    done = pytest_in(newcomer, "tests", "-rs")
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"^\d+ skipped, \d+ deselected in ", done.stdout.splitlines()[-1]), done.stdout[-3000:]
    lines = re.findall(r"^SKIPPED \[\d+\] \S+: (.*)", done.stdout, re.MULTILINE)
    assert lines and [line for line in lines if not re.search(r"found no .*; (make it|install)", line)] == []


@pytest.mark.slow
@pytest.mark.repeats
def test_in_the_second_pass_of_ci_a_missing_server_is_a_failure(newcomer: dict[str, str]) -> None:
    done = pytest_in(newcomer | {"CI": "true"}, "tests/system/test_store_proxy.py", "-x")
    assert done.returncode == 1
    assert "make it: services/tools.sh minio" in done.stdout


def test_each_program_that_is_missing_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SERVICES_PROGRAMS", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    programs: tuple[Program, ...] = ("minio", "versitygw", "compose", "postgres", "openssl", "strace", "chromium")
    said = {program: missing(program) for program in programs}
    assert said == {
        "minio": "found no .tools/bin/minio; make it: services/tools.sh minio",
        "versitygw": "found no .tools/bin/versitygw; make it: services/tools.sh versitygw",
        "compose": "found no .tools/bin/compose; make it: services/tools.sh compose",
        "postgres": "found no PostgreSQL server; install postgresql (Debian)",
        "openssl": "found no openssl; install it",
        "strace": "found no strace; install it",
        "chromium": "found no chromium; install it",
    }


def test_no_test_looks_for_a_program_of_the_servers_by_itself() -> None:
    texts = {path: path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)}
    alone = r"\.tools/bin|\bwhich\(|/usr/lib/postgresql|postgres_programs"
    assert [str(path) for path, text in texts.items() if re.search(alone, text)] == []
