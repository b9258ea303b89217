"""Fit with statsmodels, keep the numbers as JSON, and register `model.py`, which predicts with them."""

import json
from pathlib import Path

import mlflow
import mlflow.pyfunc
import pandas as pd
import statsmodels.api as sm
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from streamscore import load_feed, open_registry

NAME = "delivery_times"

# 1. Fit, and keep the numbers.
rows = pd.read_csv("../own_csv/data/delivered.csv", sep=";")
features = rows[["distance km", "items"]].astype({"items": "int32"})
fit = sm.OLS(rows["minutes"], sm.add_constant(features)).fit()
fitted = Path("var/fitted.json")
fitted.write_text(json.dumps({"weights": fit.params.to_dict(), "sigma": float(fit.mse_resid**0.5)}))

# 2. Register. The signature must name inputs and outputs.
inputs = Schema([ColSpec(DataType.double, "distance km"), ColSpec(DataType.integer, "items")])
outputs = Schema([ColSpec(DataType.double, name) for name in ("minutes", "lower", "upper")])
mlflow.set_tracking_uri("sqlite:///var/mlflow.db")  # where streamscore looks if no setting says otherwise
mlflow.set_experiment(NAME)
with mlflow.start_run():
    logged = mlflow.pyfunc.log_model(
        name="model",
        python_model="model.py",
        artifacts={"fitted": str(fitted)},
        registered_model_name=NAME,
        signature=ModelSignature(inputs=inputs, outputs=outputs),
        input_example=features.head(),
        pip_requirements=["mlflow", "pandas"],
    )

# 3. Promote.
version = str(logged.registered_model_version)
open_registry().promote(NAME, version, load_feed(NAME))
print(f"{NAME} v{version} is in Production; R² is {fit.rsquared:.2f}")
