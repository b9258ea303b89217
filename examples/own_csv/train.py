"""Train a scikit-learn pipeline of your own, register it with MLflow, and put it into Production."""

import mlflow
import mlflow.sklearn
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from streamscore import load_feed, open_registry

NUMBERS, WORDS = ["distance km", "items"], ["weather"]

# 1. Fit. Only what has been delivered has minutes.
rows = pd.read_csv("data/delivered.csv", sep=";").dropna(subset=["minutes"])
features = rows[NUMBERS + WORDS]
prepare = ColumnTransformer([("numbers", StandardScaler(), NUMBERS), ("words", OneHotEncoder(), WORDS)])
pipeline = make_pipeline(prepare, Ridge())
error = -cross_val_score(pipeline, features, rows["minutes"], scoring="neg_mean_absolute_error").mean()
pipeline.fit(features, rows["minutes"])

# 2. Register. The signature tells the stream which columns the model wants; skops stores it without a pickle.
mlflow.set_tracking_uri("sqlite:///var/mlflow.db")  # where streamscore looks if no setting says otherwise
mlflow.set_experiment("deliveries")
with mlflow.start_run():
    mlflow.log_metric("mae", error)
    logged = mlflow.sklearn.log_model(
        pipeline,
        name="model",
        registered_model_name="deliveries",
        signature=infer_signature(features, pipeline.predict(features)),
        input_example=features.head(),
        serialization_format="skops",
        skops_trusted_types=["numpy.dtype"],
    )

# 3. Promote. `streamscore promote deliveries 1` does the same.
version = str(logged.registered_model_version)
open_registry().promote("deliveries", version, load_feed("deliveries"))
print(f"deliveries v{version} is in Production; it errs by {error:.1f} minutes")
