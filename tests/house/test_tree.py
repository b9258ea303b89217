"""Rules of the tree: names, sizes, no registry host, package docstrings that list their modules.

Each rule lists its offenders.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.source_tree import MODULES, PACKAGES, ROOT, project_files, relative, tree_of

VAGUE = {"utils", "util", "helpers", "helper", "common", "misc"}
MAX_LINES = 300  # of a file
MAX_FUNCTION = 40  # lines of a function, without its docstring
MAX_PARAMETERS = 7  # of a constructor
# What may be longer, and why; an exception that is not needed any more is an offender, too.
LONGER_FILES: dict[str, str] = {}
LONGER_FUNCTIONS: dict[str, str] = {}
FOLDERS = {"BucketFolder", "LocalFolder"}
MORE_PARAMETERS: dict[str, str] = {}

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


def modules_and_packages(folder: Path) -> set[str]:
    modules = {path.stem for path in folder.glob("*.py") if path.name not in ("__init__.py", "__main__.py")}
    return modules | {path.parent.name for path in folder.glob("*/__init__.py")}


def functions(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{relative(path)}:{node.name}", node


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Its lines but those of its docstring, signature included."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        lines -= (first.end_lineno or 0) - first.lineno + 1
    return lines


def parameters_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = function.args
    return len([*given.posonlyargs, *given.args, *given.kwonlyargs]) - 1  # without self


def over(sizes: dict[str, int], most: int, exceptions: dict[str, str]) -> list[str]:
    """Offenders: too large and not excepted, or excepted and not too large."""
    return sorted(
        f"{name}: {size}, at most {most}" if size > most else f"{name}: {size}, and named as an exception"
        for name, size in (sizes | {name: sizes.get(name, 0) for name in exceptions}).items()
        if (size > most) != (name in exceptions)
    )


def kinds_told_apart(tree: ast.AST) -> list[str]:
    """Where code asks which kind of folder it has: the folder has a method for that, or `by_kind` chooses."""
    asked = [
        node
        for node in ast.walk(tree)
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "type"))
        or isinstance(node, ast.MatchClass)
    ]
    named = [(node, {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}) for node in asked]
    return [f"line {node.lineno}: {ast.unparse(node)}" for node, names in named if names & FOLDERS]


def test_the_packages_are_there() -> None:
    assert {relative(path).split("/")[0] for path in MODULES if path.name == "__init__.py"} == set(PACKAGES)


def test_a_module_is_named_by_what_it_does() -> None:
    assert [relative(path) for path in MODULES if path.stem in VAGUE] == []


def test_no_module_of_jobs_hides_one_of_the_standard_library() -> None:
    # `spark-submit` puts the script's folder first on sys.path, so jobs/queue.py would hide `queue` everywhere.
    names = [path for path in (ROOT / "jobs").iterdir() if path.suffix in ("", ".py")]
    assert [relative(path) for path in names if path.stem in sys.stdlib_module_names] == []


def test_a_file_stays_readable() -> None:
    sizes = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert over(sizes, MAX_LINES, LONGER_FILES) == []


def test_a_function_stays_readable() -> None:
    sizes = {name: lines_of(function) for path in MODULES for name, function in functions(path)}
    assert over(sizes, MAX_FUNCTION, LONGER_FUNCTIONS) == []


def test_a_constructor_asks_for_few_things() -> None:
    sizes = {
        f"{relative(path)}:{node.name}": parameters_of(child)
        for path in MODULES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef)
        for child in node.body
        if isinstance(child, ast.FunctionDef) and child.name == "__init__"
    }
    assert over(sizes, MAX_PARAMETERS, MORE_PARAMETERS) == []


def test_a_folder_itself_does_what_depends_on_its_kind() -> None:
    offenders = [f"{relative(path)} {asked}" for path in MODULES for asked in kinds_told_apart(tree_of(path))]
    assert offenders == []


def test_no_file_names_a_registry_host() -> None:
    named = []
    for path in project_files():
        text = path.read_bytes().decode("utf-8", errors="ignore").lower()
        named += [f"{relative(path)} names {host}" for host in REGISTRY_HOSTS if host in text]
    assert named == []


def test_the_docstring_of_a_package_lists_its_modules_one_a_line() -> None:
    offenders = []
    for path in MODULES:
        if path.name != "__init__.py" or path.parent == ROOT / "jobs":
            continue
        docstring = ast.get_docstring(tree_of(path)) or ""
        # The first word of a line, after the first paragraph.
        lines = docstring.split("\n\n", 1)[-1].splitlines() if "\n\n" in docstring else []
        described = {line.split()[0] for line in lines if line.strip() and not line[0].isspace()}
        if missing := modules_and_packages(path.parent) - described:
            offenders.append(f"{relative(path)} does not describe {', '.join(sorted(missing))}")
    assert offenders == []


def test_the_rules_see_what_they_forbid() -> None:
    assert over({"a": 5, "b": 2, "c": 9}, 4, {"b": "", "c": "", "d": ""}) == [
        "a: 5, at most 4",
        "b: 2, and named as an exception",
        "d: 0, and named as an exception",
    ]
    asking = "isinstance(f, a.B | BucketFolder)\nisinstance(f, str)\nmatch f:\n    case LocalFolder():\n        pass\n"
    assert kinds_told_apart(ast.parse(asking)) == [
        "line 1: isinstance(f, a.B | BucketFolder)",
        "line 4: LocalFolder()",
    ]
    function = ast.parse('def f(self, a, *, b):\n    """One\n    two."""\n    return a\n').body[0]
    assert isinstance(function, ast.FunctionDef)
    assert (lines_of(function), parameters_of(function)) == (2, 2)
