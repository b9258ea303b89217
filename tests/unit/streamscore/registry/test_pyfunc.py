"""Versions with code of their own: each runs its own, whatever its modules are called, and goes when it is let go."""

import pickle
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from schemas.errors import RegistryError
from streamscore.models.row_model import Model, load_model
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.pyfunc import CODE_MODULE
from tests.support.version_code import CODE, FEED, save_version

pytestmark = pytest.mark.trains

ROWS = {"a": [1.0, 10.0], "b": [0.0, 0.0]}


@pytest.fixture
def own_code(tmp_path: Path) -> Callable[..., Model]:
    """A version whose modules have a factor of its own, loaded."""

    def load(factor: int, code: str = CODE) -> Model:
        path = save_version(tmp_path, factor, code)
        return load_model(path, FEED, ModelVersion("scaled", str(factor), "r"))

    return load


def table(**columns: list[float]) -> Any:
    import pyarrow as pa

    return pa.table(ROWS | columns)


def children() -> list[psutil.Process]:
    """The processes of versions; the JVM of a session that other tests share is none of them."""
    return [child for child in psutil.Process().children() if child.name() != "java"]


def test_each_version_runs_its_own_code_until_it_is_let_go(own_code: Callable[..., Model], capfd: Any) -> None:
    before, path, modules = len(children()), list(sys.path), set(sys.modules)
    two, three = own_code(2), own_code(3)
    for _ in range(2):
        assert two.predict(table()).to_pylist() == [2.0, 20.0]
        assert three.predict(table()).to_pylist() == [3.0, 30.0]
    assert sys.path == path and not {name for name in set(sys.modules) - modules if name.startswith("feats")}
    assert capfd.readouterr().out == ""
    # what it raises, and what nobody else can read
    with pytest.raises(Exception, match="thirteen") as error:
        two.predict(table(a=[13.0, 1.0]))
    assert type(error.value).__name__ == "OwnError"
    with pytest.raises(pickle.UnpicklingError, match=r"an answer of code_model_\w+.Factor, wanted arrays"):
        two.predict(table(a=[15.0, 1.0]))
    for child in children():
        child.send_signal(signal.SIGTERM)  # as a stopping stream's whole group gets it
    assert two.predict(table()).to_pylist() == [2.0, 20.0]
    assert len(children()) == before + 2
    del error, two, three
    assert len(children()) == before


def test_a_folder_with_a_percent_escape_is_that_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow decodes paths, so that it looked for `feature/x` beside `feature%2Fx`."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    folder = tmp_path / "feature%2Fx y"
    folder.mkdir()
    path = save_version(tmp_path, 2, CODE).rename(folder / "scaled")
    model = load_model(path, FEED, ModelVersion("scaled", "2", "r"))
    assert model.predict(table()).to_pylist() == [2.0, 20.0]
    del model
    assert list(temporary.iterdir()) == []


@pytest.mark.repeats
def test_packages_of_our_names_need_no_init_file(tmp_path: Path) -> None:
    path = save_version(tmp_path, 2, CODE)
    for init in path.glob("code/*/__init__.py"):
        init.unlink()
    assert load_model(path, FEED, ModelVersion("scaled", "2", "r")).predict(table()).to_pylist() == [2.0, 20.0]


@pytest.mark.repeats
def test_the_end_of_its_process_costs_the_rows_that_end_it_again_and_no_others(
    own_code: Callable[..., Model], tmp_path: Path
) -> None:
    model = own_code(2)
    with pytest.raises(Exception, match="the model's process ended with -9"):
        model.predict(table(a=[666.0, 1.0]))
    for child in children():
        child.kill()
    assert model.predict(table()).to_pylist() == [2.0, 20.0]
    Path(model.path, "MLmodel").unlink()
    for child in children():
        child.kill()
    with pytest.raises(RegistryError, match="does not start again"):
        model.predict(table())


@pytest.mark.repeats
def test_code_that_does_not_load_is_told_as_it_was_raised(own_code: Callable[..., Model]) -> None:
    before = len(children())
    with pytest.raises(Exception, match="No module named 'nowhere'"):
        own_code(2, "import nowhere")
    assert len(children()) == before


def test_models_of_one_file_of_code_leave_nothing_behind(model_of: Callable[..., Model]) -> None:
    models = [model_of(f"return (model_input['a'] * {factor}).to_numpy()", np.array([1.0])) for factor in (2, 3)]
    assert [model.predict(table()).to_pylist()[0] for model in models] == [2.0, 3.0]
    left = [name for name in sys.modules if name.startswith(CODE_MODULE)]
    models.clear()
    assert len([name for name in sys.modules if name.startswith(CODE_MODULE)]) == len(left) - 2
