"""The model of all polluted feeds, as code: the sum of the features, each times its place."""

from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel


class Weighed(PythonModel):
    """Other values, or values in another column, give another prediction."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> np.ndarray:
        total = np.zeros(len(model_input))
        for place, name in enumerate(model_input.columns, start=1):
            total = total + place * model_input[name].to_numpy()
        return total


mlflow.models.set_model(Weighed())
