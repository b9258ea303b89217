"""Rules of the tree: file names, file sizes, no registry host, package docstrings that list their modules."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("jobs", "schemas", "training")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
INITS = [path for path in MODULES if path.name == "__init__.py"]
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc"}
MAX_LINES = 400

# Joined from parts, so that this file does not hold what it looks for.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("maven", "org"),
        ("maven", "apache", "org"),
        ("maven", "google", "com"),
        ("mvnrepository", "com"),
        ("sonatype", "org"),
        ("jitpack", "io"),
        ("proxy", "golang", "org"),
        ("registry", "npmjs", "org"),
        ("conda", "anaconda", "org"),
        ("docker", "io"),
        ("ghcr", "io"),
    )
]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def project_files() -> list[Path]:
    """What git tracks or would track: everything except what .gitignore names."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def modules_and_packages(folder: Path) -> set[str]:
    modules = {path.stem for path in folder.glob("*.py") if path.name != "__init__.py"}
    return modules | {path.parent.name for path in folder.glob("*/__init__.py")}


def test_the_three_packages_are_there():
    assert {path.relative_to(ROOT).parts[0] for path in INITS} == set(PACKAGES)


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_is_named_by_what_it_does(path):
    assert path.stem not in VAGUE


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_no_module_hides_one_of_the_standard_library(path):
    # `spark-submit` puts the script's folder first on sys.path, so jobs/queue.py would hide `queue` everywhere.
    assert path.stem not in sys.stdlib_module_names


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_stays_readable(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_no_file_names_a_registry_host():
    named = []
    for path in project_files():
        text = path.read_bytes().decode("utf-8", errors="ignore").lower()
        named += [f"{relative(path)} names {host}" for host in REGISTRY_HOSTS if host in text]
    assert named == []


@pytest.mark.parametrize("path", INITS, ids=relative)
def test_a_package_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("folder", [path.parent for path in INITS if "streaming" in path.parts], ids=relative)
def test_the_docstring_of_a_package_of_the_stream_lists_its_modules(folder):
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    # One module a line, first word, after the first paragraph.
    described = {
        line.split()[0] for line in docstring.split("\n\n", 1)[-1].splitlines() if line and not line[0].isspace()
    }
    assert described == modules_and_packages(folder)
