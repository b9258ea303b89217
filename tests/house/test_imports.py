"""Rules of importing: who may import whom, and that importing does nothing. Each rule lists its offenders."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.source_tree import MODULES, PACKAGES, ROOT, relative, tree_of

# Which of our packages each may import beside itself, by folder; the longest name that fits counts.
MAY_IMPORT = {
    "schemas": set(),
    "services": set(),
    "streamscore": {"schemas"},
    "training": {
        "schemas",
        "streamscore.landing.manifest",
        "streamscore.reading",
        "streamscore.registry",
        "streamscore.statistics",
        "streamscore.storage",
    },
    "jobs": {"schemas", "streamscore"},
    "jobs.streaming": {"schemas", "streamscore", "jobs.maintenance"},  # a run starts maintenance
    "jobs.serving": {"schemas", "streamscore", "jobs.maintenance"},  # so does the service, of its log of requests
    "jobs.operations": {
        "schemas",
        "streamscore",
        "jobs.streaming.checkpoint",
        "jobs.serving.access.listening",
        "jobs.serving.request_log.account",
    },
    "jobs.maintenance": {"schemas", "streamscore"},
    "jobs.monitoring": {"schemas", "streamscore", "jobs.operations.status"},
    "jobs.cli": {"schemas", "streamscore", "jobs", "training"},
}
# Inside streamscore a folder imports only folders of an earlier level.
LEVELS = (
    {"errors", "failpoints", "logs", "storage", "statistics"},
    {"landing", "registry"},
    {"reading", "models", "routing", "tables"},
    {"following", "scoring"},
    {"forecasting", "spark"},
)
# A library that only these may import.
ONLY_IN = {
    "pyspark": ("streamscore/spark/", "streamscore/landing/source.py", "streamscore/tables/spark_writer.py",
                "streamscore/tables/writers.py", "jobs/streaming/"),
    "delta": ("streamscore/spark/", "streamscore/tables/spark_writer.py"),
    "fastapi": ("jobs/serving/", "jobs/dashboard/"),
    "jinja2": ("jobs/dashboard/", "jobs/monitoring/", "training/evaluation/"),
    "apprise": ("jobs/monitoring/",),
}  # fmt: skip
# What a library is imported as, where that is not its name.
IMPORTED_AS = {"pyyaml": "yaml", "scikit-learn": "sklearn"}
NOT_IMPORTED = {"delta-spark": "its jar is what is used; its version says which"}
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


def imported(tree: ast.AST) -> set[str]:
    """Everything imported anywhere in the module, inside functions too: `package.module` each."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def is_below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


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


def foreign(module: str, names: set[str]) -> list[str]:
    """Those of our own modules that a module may not import."""
    area = max((area for area in MAY_IMPORT if is_below(module, area)), key=len)
    allowed = {area, *MAY_IMPORT[area]}
    ours = [name for name in names if name.split(".")[0] in PACKAGES]
    return sorted(name for name in ours if not any(is_below(name, one) for one in allowed))


def upward(module: str, names: set[str]) -> list[str]:
    """Those of streamscore's folders that lie on the module's own level or above it, and are not its own."""
    level = {folder: number for number, folders in enumerate(LEVELS) for folder in folders}
    own = module.split(".")[1] if module.count(".") > 1 else ""
    others = {name.split(".")[1] for name in names if name.startswith("streamscore.")} & set(level)
    return sorted(other for other in others if own in level and other != own and level[other] >= level[own] > 0)


def of_all(check: Any) -> list[str]:
    """Offenders as `module: what`, by a check of each module's name and imports."""
    offenders = []
    for path in MODULES:
        module = relative(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        offenders += [f"{module}: {what}" for what in check(module, imported(tree_of(path)))]
    return offenders


def test_each_package_imports_only_what_it_stands_on() -> None:
    assert of_all(foreign) == []


def test_inside_streamscore_imports_run_downward() -> None:
    assert of_all(upward) == []


def test_a_library_is_imported_only_where_it_belongs() -> None:
    offenders = [
        f"{relative(path)} imports {library}"
        for path in MODULES
        for library, places in ONLY_IN.items()
        if any(is_below(name, library) for name in imported(tree_of(path)))
        if not relative(path).startswith(places)
    ]
    assert offenders == []


def test_importing_reads_no_environment() -> None:
    assert [f"{relative(path)} {read}" for path in MODULES for read in environment_reads(tree_of(path))] == []


def test_importing_starts_nothing() -> None:
    assert [f"{relative(path)} {call}" for path in MODULES for call in starts(tree_of(path))] == []


def test_the_rules_see_what_they_forbid() -> None:
    bad = (
        "import os\nfrom os import environ\nclass A:\n    HOME = os.environ['HOME']\ndef f(x=os.getenv('X')): ...\n"
        "spark = SparkSession.builder.getOrCreate()\n"
    )
    assert len(environment_reads(ast.parse(bad))) == 2
    assert starts(ast.parse(bad)) == ["line 6: SparkSession.builder.getOrCreate()"]
    assert environment_reads(ast.parse("import os\ndef f():\n    return os.environ['HOME']\n")) == []
    names = imported(ast.parse("import jobs.cli\ndef f():\n    from streamscore.scoring.score import score\n"))
    assert names == {"jobs.cli", "streamscore.scoring.score.score"}
    assert foreign("streamscore.tables.parts", names) == ["jobs.cli"]
    assert upward("streamscore.tables.parts", names) == ["scoring"]
    assert foreign("jobs.streaming.run", {"jobs.operations.status.Status"}) == ["jobs.operations.status.Status"]


@pytest.mark.slow
def test_importing_every_module_leaves_no_session_and_no_file(tmp_path: Path) -> None:
    modules = [path for path in MODULES if path.name != "__main__.py"]
    names = [relative(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in modules]
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


def test_every_declared_library_is_imported() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    names = [re.split(r"[=<>~\[ ]", line)[0] for line in declared]
    modules = {name: IMPORTED_AS.get(name, name.replace("-", "_")) for name in names}
    used = {name.split(".")[0] for path in MODULES for name in imported(tree_of(path))}
    assert [name for name in names if modules[name] not in used] == list(NOT_IMPORTED)
