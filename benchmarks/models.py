"""The registry with the models that are measured, and the CSV files that are landed."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from benchmarks.roster import FEED
from schemas.feed import load_feed
from schemas.registry import Registry, open_registry
from schemas.settings import load_settings
from training.generate import generated_chunks
from training.model import signature_of
from training.pipeline import train
from training.sample import sample
from training.settings import Estimator, load_training_settings
from training.tabular import Source

ELASTIC_NET, FOREST, SLOW = "elastic net", "forest of 100 trees", "20 ms a call"
FOREST_SETTINGS = Estimator(name="random_forest", parameters={"n_estimators": 100})


def make_models(tracking: str) -> Mapping[str, str]:
    """Name → URI of one version each: two that training made, and one from code."""
    registry = open_registry(load_settings(flags={"registry.tracking_uri": tracking}))
    feed, settings = load_feed(FEED), load_training_settings(FEED)
    net = train(feed, Source(), registry, settings, promote=True)
    # a gate's no would not matter: what is measured is named by its number
    forest = train(feed, Source(), registry, settings.model_copy(update={"estimator": FOREST_SETTINGS}))
    numbers = {ELASTIC_NET: net.version, FOREST: forest.version, SLOW: add_slow(registry)}
    return {name: f"models:/{FEED}/{number}" for name, number in numbers.items()}


def add_slow(registry: Registry) -> str:
    """Register the slow model; its version."""
    feed = load_feed(FEED)
    example = next(iter(generated_chunks(feed, 10, 1))).to_pandas()[[c.name for c in feed.features]]
    experiment = registry.experiment(FEED)
    with registry.active() as mlflow, mlflow.start_run(experiment_id=experiment) as run:
        import mlflow.pyfunc

        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).parent / "slow_model.py"),
            signature=signature_of(feed, ()),
            input_example=example,
            pip_requirements=[f"mlflow=={version('mlflow')}", f"pandas=={version('pandas')}"],
        )
        return registry.add_version(FEED, logged.model_id, run.info.run_id, {})


def make_text(rows: int, folder: Path) -> bytes:
    """One file's text."""
    return sample(load_feed(FEED), rows, 1, folder / f"{rows}").paths[0].read_bytes()
