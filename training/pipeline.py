"""`streamscore train`: the flow from data to a model version."""

from dataclasses import asdict, dataclass
from pathlib import Path

from schemas.feed import Feed
from schemas.registry import Promotion, Registry
from training.data import training_data
from training.evaluate import Evaluation, evaluate
from training.fit import Parameters, fit
from training.gate import judge
from training.model import log_model
from training.register import Candidate, Rows, model_name, origin_of, register
from training.settings import Gate, TrainingSettings
from training.split import split


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training run made.

    Attributes:
        name, version, run_id: the model version and its run.
        metrics: on the held-out rows: rmse, mae, r2, baseline_rmse, baseline_mae.
        rows: of the data, held-out ones included.
        digest: SHA-256 of the data file's bytes.
        source: the data file, or `sample(…)` with its arguments.
        promotion: null if the version was not put into Production.
    """

    name: str
    version: str
    run_id: str
    metrics: dict[str, float]
    rows: int
    digest: str
    source: str
    promotion: Promotion | None


def train(
    feed: Feed,
    data_path: Path | None,
    registry: Registry,
    promote: bool = False,
    parameters: Parameters | None = None,
) -> TrainResult:
    """Train the feed's model on a CSV file (see `training_data` for none) and register it.

    1. The registry must answer, before any work.  2. Data.  3. Split.  4. Fit.  5. Evaluate.  6. Register.  7. Promote.

    Raises:
        FeedError, SettingsError: the data or the feed will not do; nothing is registered.
        RegistryError: the registry does not answer.
        ContractError: the version does not fit the feed; it stays registered and is not promoted.
    """
    parameters = parameters or Parameters()
    name = model_name(feed)
    # 1
    registry.experiment(feed.name)
    # 2
    data = training_data(feed, data_path, parameters.seed)
    # 3
    parts = split(data, parameters.held_out, parameters.seed)
    # 4
    model = fit(feed, parts.features, parts.target, parameters)
    # 5
    metrics = evaluate(model, parts)
    # 6
    settings = TrainingSettings()
    fitted = parts.features.assign(**{str(data.target.name): parts.target})
    held_out = parts.held_out_features.assign(**{str(data.target.name): parts.held_out_target})
    baseline = {"rmse": metrics["baseline_rmse"], "mae": metrics["baseline_mae"]}
    candidate = Candidate(
        origin=origin_of(feed, data.source, data.digest, data.rows, settings),
        settings=settings,
        log=lambda mlflow: log_model(feed, model, data.features.head(5), mlflow),
        inputs={
            "training": Rows(fitted, data.digest, str(data.target.name)),
            "evaluation": Rows(held_out, data.digest, str(data.target.name)),
        },
        parameters=asdict(parameters) | {"estimator": "ElasticNet"},
        metrics=metrics,
        verdict=judge(Evaluation(metrics, baseline, {}, ()), None, Gate()),
        artifacts={},
    )
    made = register(feed, candidate, registry)
    # 7
    promotion = registry.promote(name, made.version, feed) if promote else None
    return TrainResult(name, made.version, made.run_id, metrics, data.rows, data.digest, data.source, promotion)
