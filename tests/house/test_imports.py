"""Rules of importing: who may import whom, and that importing does nothing."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("jobs", "schemas", "training")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
FORBIDDEN = {"schemas": {"jobs", "training"}, "training": {"jobs"}, "jobs": {"training"}}
SEES_BOTH_SIDES = "jobs/cli.py"
# Reading the environment, or starting something, at import.
ENVIRONMENT = {"environ", "getenv", "environb"}
STARTS = {
    "getOrCreate",
    "SparkContext",
    "SparkSession",
    "MlflowClient",
    "set_tracking_uri",
    "basicConfig",
    "start_http_server",
}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported_packages(tree: ast.AST) -> set[str]:
    """First names of everything imported anywhere in the module, inside functions too."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").split(".")[0])
    return names


def run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Every node that runs when the module is imported: class bodies, decorators and defaults, but no function body."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            for part in (*child.decorator_list, *child.args.defaults, *filter(None, child.args.kw_defaults)):
                yield part
                yield from run_at_import(part)
        elif isinstance(child, ast.Lambda) or is_main_guard(child) or is_annotation(node, child):
            continue
        else:
            yield child
            yield from run_at_import(child)


def is_main_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)


def is_annotation(parent: ast.AST, child: ast.AST) -> bool:
    return isinstance(parent, ast.AnnAssign) and child is parent.annotation


def environment_reads(tree: ast.AST) -> list[str]:
    found = []
    for node in run_at_import(tree):
        if isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT:
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
        elif isinstance(node, ast.Name) and node.id in ENVIRONMENT:
            found.append(f"line {node.lineno}: {node.id}")
    return found


def starts(tree: ast.AST) -> list[str]:
    called = [node for node in run_at_import(tree) if isinstance(node, ast.Call)]
    return [
        f"line {call.lineno}: {ast.unparse(call.func)}()"
        for call in called
        if STARTS & set(ast.unparse(call.func).split("."))
    ]


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_imports_run_from_jobs_and_training_to_schemas_only(path):
    forbidden = FORBIDDEN[path.relative_to(ROOT).parts[0]] if relative(path) != SEES_BOTH_SIDES else set()
    assert not imported_packages(ast.parse(path.read_text(encoding="utf-8"))) & forbidden


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_importing_reads_no_environment(path):
    assert environment_reads(ast.parse(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_importing_starts_nothing(path):
    assert starts(ast.parse(path.read_text(encoding="utf-8"))) == []


def test_the_rules_see_what_they_forbid():
    bad = (
        "import os\nfrom os import environ\nclass A:\n    HOME = os.environ['HOME']\ndef f(x=os.getenv('X')): ...\n"
        "spark = SparkSession.builder.getOrCreate()\n"
    )
    assert len(environment_reads(ast.parse(bad))) == 2
    assert starts(ast.parse(bad)) == ["line 6: SparkSession.builder.getOrCreate()"]
    assert environment_reads(ast.parse("import os\ndef f():\n    return os.environ['HOME']\n")) == []
    assert imported_packages(ast.parse("def f():\n    from jobs.streaming.reading import read\n")) == {"jobs"}


def test_importing_every_module_leaves_no_session_and_no_file(tmp_path):
    names = [relative(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in MODULES]
    code = f"""
import importlib
for name in {names!r}:
    importlib.import_module(name)
from pyspark import SparkContext
assert SparkContext._active_spark_context is None and SparkContext._gateway is None
"""
    # In a fresh process and an empty folder: nothing else has imported or written anything there.
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
