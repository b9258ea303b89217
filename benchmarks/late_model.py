"""A model from code whose predict takes 20 ms a call, whatever the batch: a remote call, a device, an ensemble."""

import time
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel


class Late(PythonModel):
    """The mean of the features, late."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> np.ndarray:  # noqa: ARG002
        time.sleep(0.02)
        return model_input.mean(axis=1).to_numpy()


mlflow.models.set_model(Late())
