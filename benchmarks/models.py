"""The registry with the models that are measured, and the CSV files that are landed."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from benchmarks.roster import FEED
from schemas.feed import load_feed
from schemas.settings import load_settings
from streamscore.registry.registry import Registry, open_registry
from training.data.generate import generated_chunks
from training.data.sample import sample
from training.fitting.fit import fit
from training.fitting.log_model import log_model, signature_of
from training.settings import Estimator

ELASTIC_NET, FOREST, LATE = "elastic net", "forest of 100 trees", "20 ms a call"
FITTED = {
    ELASTIC_NET: Estimator(name="elastic_net", parameters={"alpha": 0.01, "l1_ratio": 0.5}),
    FOREST: Estimator(name="random_forest", parameters={"n_estimators": 100}),
}
ROWS, SEED = 4898, 0  # as many as the white-wine data set has


def make_models(tracking: str) -> Mapping[str, str]:
    """Name → URI of one version each: two fitted and logged as training does it, and one from code."""
    feed = load_feed(FEED)
    registry = open_registry(load_settings(flags={"registry.tracking_uri": tracking}))
    rows = pa.concat_tables(generated_chunks(feed, ROWS, SEED)).to_pandas()
    features, target = rows[[c.name for c in feed.features]], rows["quality"]
    made = {}
    for name, estimator in FITTED.items():
        model = fit(feed, features, target, estimator, SEED)
        made[name] = register(registry, partial(log_model, feed, model, features[:10]))
    made[LATE] = register(registry, lambda mlflow: log_late(features[:10], mlflow))
    return made


def register(registry: Registry, log: Callable[[Any], Any]) -> str:
    """Log a model as a run of its own and register it, with its manifest; the version's URI."""
    experiment = registry.experiment(FEED)
    with registry.active() as mlflow, mlflow.start_run(experiment_id=experiment) as run:
        version = registry.add_version(FEED, log(mlflow).model_id, run.info.run_id, {})
    return f"models:/{FEED}/{version}"


def log_late(example: pd.DataFrame, mlflow: Any) -> Any:
    """Log the late model, as code."""
    return mlflow.pyfunc.log_model(
        name="model",
        python_model=str(Path(__file__).parent / "late_model.py"),
        signature=signature_of(load_feed(FEED)),
        input_example=example,
        pip_requirements=[f"{package}=={version(package)}" for package in ("mlflow", "pandas")],
    )


def make_text(rows: int, folder: Path) -> bytes:
    """One file's text."""
    return sample(load_feed(FEED), rows, 1, folder / f"{rows}").paths[0].read_bytes()
