"""Models from code, in the Production of a registry: each does with its rows what a test wants to see."""

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from streamscore.registry.registry import Registry

# x times `factor`. It fails at a call that has 13 in it, ends the process at 66, takes 2 s for 200, and says NaN to -1,
# infinity to -2.
SCALED = """
import time, mlflow, numpy as np, pandas as pd

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        x = model_input["x"].to_numpy(dtype="float64")
        if (x == 13).any():
            raise ValueError("thirteen")
        if (x == 66).any():
            raise SystemExit(1)
        if (x == 200).any():
            time.sleep(2)
        if params["mode"] == "count":
            return np.full(len(x), float(len(x)))
        if params["mode"] == "sum":
            return np.full(len(x), float(sum(params["weights"])))
        said = x * params["factor"]
        said[x == -1], said[x == -2] = np.nan, np.inf
        return said

mlflow.models.set_model(Model())
"""
# 1 where a value is missing, of each type that a column may lack one of.
MISSING = """
import mlflow, pandas as pd

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input.isna().sum(axis=1).to_numpy(dtype="float64")

mlflow.models.set_model(Model())
"""


def put_code_into_production(registry: Registry, name: str, code: str, signature: Any) -> None:
    """Log the code as a model, register it, and give it the alias of Production."""
    with registry.active() as mlflow, tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.py")
        file.write_text(code)
        logged = mlflow.pyfunc.log_model(
            name="model", python_model=str(file), signature=signature, registered_model_name=name, pip_requirements=[]
        )
        mlflow.MlflowClient().set_registered_model_alias(name, "production", logged.registered_model_version)


def scaled_signature() -> Any:
    """Of `SCALED`: a param of each kind."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    params = [
        ParamSpec("factor", "double", 1.0),
        ParamSpec("mode", "string", "scale"),
        ParamSpec("limit", "integer", 5),
        ParamSpec("exact", "boolean", False),
        ParamSpec("since", "datetime", pd.Timestamp("2023-07-01").to_datetime64()),
        ParamSpec("weights", "long", [1, 2], (-1,)),
    ]
    return ModelSignature(Schema([ColSpec("double", "x")]), Schema([ColSpec("double", "predict")]), ParamSchema(params))


def missing_signature() -> Any:
    """Of `MISSING`: an optional input of each type."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    types = ("boolean", "integer", "long", "float", "double", "string", "datetime")
    inputs: list[Any] = [ColSpec(kind, kind, required=False) for kind in types]
    return ModelSignature(Schema(inputs), Schema([ColSpec("double", "predict")]))
