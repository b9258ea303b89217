"""A routed feed, small models for it, and what its tables must hold."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from schemas.feed import Feed
from streamscore.registry.registry import Registry

# the version says itself who it is: weight * a + b, and raises where a is 666
CODE = """
import mlflow, pandas as pd

class Weighted(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        if (model_input["a"] == 666).any():
            raise ValueError("666")
        return ({weight} * model_input["a"] + model_input["b"]).to_numpy()

mlflow.models.set_model(Weighted())
"""
HEADER = "customer,a,b\n"


def feed_of(**more: Any) -> Feed:
    """Orders of customers."""
    columns = [
        {"name": "customer", "type": "string", "role": "key", "nullable": True},
        {"name": "a", "type": "double", "max": 1e6},
        {"name": "b", "type": "double"},
    ]
    return Feed.model_validate({"name": "orders", "routing": {"column": "customer"}, "columns": columns} | more)


def write_feed(feed: Feed, folder: Path) -> None:
    """Where a command finds it that is started in the folder."""
    (folder / "schemas").mkdir(exist_ok=True)
    text = yaml.safe_dump(feed.model_dump(mode="json", exclude_unset=True))
    (folder / "schemas" / f"{feed.name}.yaml").write_text(text)


def write_routes(path: Path, said: Mapping[str, Any]) -> None:
    """A table of routes, whole or not there."""
    path.parent.mkdir(exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(yaml.safe_dump(dict(said)))
    new.rename(path)


def register(registry: Registry, folder: Path, name: str, weight: float, inputs: Sequence[str] = ("a", "b")) -> str:
    """A version of a model; the number of it."""
    from mlflow.models import infer_signature

    code = folder / f"{name}_{weight}.py"
    code.write_text(CODE.format(weight=weight))
    rows = pd.DataFrame({column: [1.0, 2.0] for column in inputs})
    with registry.active() as mlflow, mlflow.start_run(experiment_id=registry.experiment(name)) as run:
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(code),
            signature=infer_signature(rows, pd.Series([1.0, 2.0])),
            pip_requirements=[],
        )
    return registry.add_version(name, logged.model_id, run.info.run_id, {})


def text_of(rows: Sequence[tuple[str, float, float]]) -> bytes:
    """A file."""
    return (HEADER + "".join(f"{customer},{a!r},{b!r}\n" for customer, a, b in rows)).encode()


def assert_exactly_once(
    landed: Mapping[str, str],
    predictions: pd.DataFrame,
    quarantine: pd.DataFrame,
    weights: Mapping[tuple[str, str], float],
) -> None:
    """Every landed row is in one of the two tables, once; each prediction is that of the version beside it.

    Args:
        weights: by name and version.
    """
    wanted: dict[tuple[str, int], tuple[float, float]] = {}
    for name, text in landed.items():
        for line, (_, a, b) in enumerate(list(csv.reader(io.StringIO(text)))[1:], start=2):
            wanted[name, line] = (float(a), float(b))
    places = [*zip(predictions.source_file, predictions.source_line, strict=True)]
    places += [*zip(quarantine.source_file, quarantine.source_line.astype(int), strict=True)] if len(quarantine) else []
    assert sorted(places) == sorted(wanted)
    for row in predictions.itertuples():
        first, second = wanted[row.source_file, row.source_line]
        assert row.prediction == weights[row.model_name, row.model_version] * first + second
