"""What `import streamscore` promises: which names, with which parameters, and that it takes nothing heavy along."""

import ast
import inspect
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import schemas
import streamscore
from schemas.feed import load_feed
from schemas.settings import load_settings
from streamscore.following.follow_table import follow_table
from streamscore.registry.registry import open_registry
from streamscore.spark.session import start_session
from streamscore.spark.udf import predict_udf
from streamscore.tables.read_table import read_table

HEAVY = {"pyspark", "py4j", "mlflow", "pandas", "pyarrow", "numpy", "sklearn", "deltalake", "pydantic", "boto3"}
# Who uses the API relies on these: a change here is a change for users, and belongs into the changelog.
PARAMETERS = {
    "follow_table": ["feed", "table='predictions'", "*start=None", "*wait=True", "*settings=None"],
    "load_feed": ["name"],
    "load_settings": ["profile=None", "flags=None"],
    "open_registry": ["settings=None"],
    "predict_udf": ["spark", "feed", "*model_uri=''", "*settings=None"],
    "read_table": ["feed", "table='predictions'", "*version=None", "*columns=None", "*settings=None"],
    "start_session": ["settings=None", "app_name='streamscore'"],
}


def run(code: str, folder: Path) -> str:
    """What a script prints that runs somewhere else, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def parameters_of(name: str) -> list[str]:
    given = inspect.signature(getattr(streamscore, name)).parameters.values()
    return [
        ("*" if one.kind is one.KEYWORD_ONLY else "")
        + one.name
        + ("" if one.default is one.empty else f"={one.default!r}")
        for one in given
    ]


def test_these_names_are_public() -> None:
    assert streamscore.__all__ == ["__version__", *sorted(PARAMETERS)]
    assert set(streamscore.__all__) <= set(dir(streamscore))


def test_each_name_is_the_function_itself() -> None:
    exported = [getattr(streamscore, name) for name in sorted(PARAMETERS)]
    assert exported == [follow_table, load_feed, load_settings, open_registry, predict_udf, read_table, start_session]
    assert streamscore.__version__ == version("streamscore")


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_its_parameters_stay_and_each_is_typed_and_described(name: str) -> None:
    assert parameters_of(name) == PARAMETERS[name]
    signature = inspect.signature(getattr(streamscore, name))
    assert signature.return_annotation is not signature.empty
    assert all(one.annotation is not one.empty for one in signature.parameters.values())
    assert inspect.getdoc(getattr(streamscore, name))


def test_type_checkers_see_the_same_names_from_the_same_places() -> None:
    tree = ast.parse(Path(streamscore.__file__).read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imported = {
        alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert imported == streamscore._WHERE
    for package in (streamscore, schemas):
        assert Path(package.__path__[0], "py.typed").is_file()


def test_importing_it_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys, streamscore; print(*{name.split('.')[0] for name in sys.modules})"
    assert set(run(code, tmp_path).split()) & HEAVY == set()


@pytest.mark.slow
def test_a_script_anywhere_imports_every_name(tmp_path: Path) -> None:
    code = f"from streamscore import {', '.join(streamscore.__all__)}\nprint(load_feed('wine_quality').name)"
    assert run(code, tmp_path) == "wine_quality\n"
    assert run("from streamscore import *\nprint(__version__, read_table.__name__)", tmp_path).endswith("read_table\n")


def test_an_unknown_name_is_told_with_those_there_are() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'predict'; it exports __version__, follow_table"):
        streamscore.predict  # noqa: B018
    with pytest.raises(ImportError, match=r"cannot import name 'read_tables'"):
        from streamscore import read_tables  # noqa: F401
