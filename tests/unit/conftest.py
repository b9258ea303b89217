"""Models of every kind of output, saved as code: nothing pickled."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from schemas.feed import Feed, read_feed
from streamscore.models.row_model import Model, load_model
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.registry import Registry
from tests.support.register_kit import HOMES, a_candidate, registry_in
from training.registration.register import register

CODE = """
import mlflow, numpy as np, pandas as pd

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
{body}

mlflow.models.set_model(Model())
"""


@pytest.fixture(scope="session")
def small_feed() -> Feed:
    """Two numbers, a key and a target."""
    columns = [
        {"name": "a", "type": "double"},
        {"name": "b", "type": "double"},
        {"name": "id", "type": "string", "role": "key", "nullable": True},
    ]
    return Feed.model_validate({"name": "small", "csv": {"extra_columns": "ignore"}, "columns": columns})


@pytest.fixture
def save_model(tmp_path: Path) -> Callable[..., Path]:
    """Saves a pyfunc whose predict has the given body; returns the folder."""

    def save(body: str, output: Any, inputs: pd.DataFrame | None = None, example: bool = True) -> Path:
        import mlflow.pyfunc
        from mlflow.models import infer_signature

        inputs = pd.DataFrame({"a": [1.0], "b": [2.0]}) if inputs is None else inputs
        count = len(list(tmp_path.glob("*.py")))
        code = tmp_path / f"model_{count}.py"
        code.write_text(CODE.format(body="\n".join(f"        {line}" for line in body.splitlines())))
        path = tmp_path / f"model-{count}"
        mlflow.pyfunc.save_model(
            str(path),
            python_model=str(code),
            signature=infer_signature(inputs, output),
            input_example=inputs if example else None,
            pip_requirements=[],
        )
        return path

    return save


@pytest.fixture
def model_of(save_model: Callable[..., Path], small_feed: Feed) -> Callable[..., Model]:
    """The same, loaded for the small feed."""

    def load(body: str, output: Any, **more: Any) -> Model:
        return load_model(save_model(body, output, **more), small_feed, ModelVersion("small", "1", "run-1"))

    return load


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Feed:
    """A feed with a column of each kind, nulls, and a dialect of its own."""
    path = tmp_path_factory.mktemp("homes") / "homes.yaml"
    path.write_text(HOMES)
    return read_feed(path)


@pytest.fixture(scope="session")
def homes_registry(homes: Feed, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry with the model `homes`: version 1 as training registers it, 2 to 4 the same files without tags."""
    registry = registry_in(tmp_path_factory.mktemp("homes_registry"))
    made = register(homes, a_candidate(homes), registry)
    model_id = registry.resolve("models:/homes/1").source.removeprefix("models:/")
    for _ in range(3):
        registry.add_version(made.name, model_id, made.run_id, {})
    return registry
