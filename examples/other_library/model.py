"""The model as code: MLflow stores this file and the numbers beside it, so nothing is pickled.

The stream loads such a model because `code` is in the setting `models.formats`. Its columns come in as a DataFrame.
"""

import json
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext


class LeastSquares(PythonModel):
    """A straight line with bounds: several outputs become one struct in the column `prediction`."""

    def load_context(self, context: PythonModelContext) -> None:
        self.fitted = json.loads(Path(context.artifacts["fitted"]).read_text())

    def predict(self, model_input: pd.DataFrame) -> pd.DataFrame:
        weights, sigma = self.fitted["weights"], self.fitted["sigma"]
        minutes = sum(model_input[name] * weights[name] for name in weights if name != "const") + weights["const"]
        return pd.DataFrame({"minutes": minutes, "lower": minutes - 2 * sigma, "upper": minutes + 2 * sigma})


mlflow.models.set_model(LeastSquares())
