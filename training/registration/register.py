"""One training run in MLflow, the model version that came of it, and what became of that."""

import json
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from schemas.errors import FeedError
from schemas.feed import Feed
from streamscore.registry.model_uri import VersionInfo, registered_name
from streamscore.registry.model_version import ModelVersion
from streamscore.registry.provenance import (
    CHECK,
    CHECK_REASONS,
    GATE,
    GATE_AGAINST,
    GATE_FILE,
    GATE_REASONS,
    KEY,
    MADE_UP,
    SPLIT,
    Provenance,
    code_digest,
    code_version,
    digest_of,
    feed_digest,
)
from streamscore.registry.registry import Registry
from streamscore.registry.repeat import repeated
from training.data.training_data import Data
from training.evaluation.gate import Verdict
from training.registration.check import CheckReport
from training.registration.one_run import log_once, one_run
from training.settings import TrainingSettings

DIGEST_LENGTH = 36  # MLflow allows no more for a data set; the whole digest is in the tags
TAG_LENGTH = 4000  # MLflow takes 5,000 characters, older servers less than their bytes


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that are logged as a data set of the run: names, types and count of `frame`, not its values."""

    frame: pd.DataFrame
    digest: str
    target: str | None = None

    @classmethod
    def of(cls, data: Data) -> "Rows":
        """Features and target of training data."""
        return cls(data.features.assign(**{str(data.target.name): data.target}), data.digest, str(data.target.name))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A fitted model, and what is to be known of it afterwards.

    Attributes:
        log: called inside the run with MLflow's module; logs the model and returns MLflow's ModelInfo.
        inputs: `training` and `evaluation` → the rows fitted on, and those judged by.
        parameters: what was fitted with which arguments.
        metrics: on the held-out rows.
        artifacts: file name → text: `profile.json`, `findings.json`, `evaluation.json`, `report.html`, …
    """

    origin: Provenance
    settings: TrainingSettings
    log: Callable[[Any], Any]
    inputs: Mapping[str, Rows]
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    verdict: Verdict
    artifacts: Mapping[str, str]


def model_name(feed: Feed) -> str:
    """The registered name under which the feed's model is looked for.

    Raises:
        FeedError: the feed's model is a run, not a registered name.
    """
    if name := registered_name(feed.model_uri):
        return name
    msg = f"feed {feed.name}: its model is {feed.model_uri}; to train, write model: models:/NAME@production"
    raise FeedError(msg)


def origin_of(feed: Feed, source: str, digest: str, rows: int, settings: TrainingSettings) -> Provenance:
    """What a training run on these data would be made of; known before anything is fitted."""
    return Provenance(
        feed.name,
        source,
        digest,
        rows,
        feed_digest(feed),
        digest_of(settings.model_dump(mode="json")),
        code_version(),
        code_digest(),
    )


def find_same(registry: Registry, name: str, key: str) -> VersionInfo | None:
    """The newest version made of the same data, feed, settings and code, if gate and check have had their say on it.

    One that failed the check does not count: that was judged by the machine too, which may be a better one today. Nor
    does one that was held against another version than is in Production now, unless it was in Production itself.

    Args:
        key: `Origin.key`.

    Raises:
        RegistryError: no answer in bounded time.
    """
    found = [version for version in registry.versions_tagged(name, KEY, key) if _is_settled(version.tags)]
    if not found:
        return None
    now = registry.in_production(name) or ""
    there = {now, *(v for promotion in registry.history(name) for v in (promotion.version, promotion.previous))}
    return next((v for v in found if v.version in there or v.tags.get(GATE_AGAINST, "") == now), None)


def register(feed: Feed, candidate: Candidate, registry: Registry, against: str = "") -> ModelVersion:
    """Log parameters, metrics, data sets, artifacts and model as one run; then register it with its manifest.

    It has no alias yet: see `accept` and `refuse`. A run that fails half way is marked as failed, and nothing is
    registered.

    Args:
        against: the version that was in Production when it was judged; empty: none.

    Raises:
        RegistryError: no answer in bounded time.
    """
    name = model_name(feed)
    experiment = registry.experiment(feed.name)
    tags = candidate.origin.to_tags() | {SPLIT: _split(candidate)} | _gate_tags(candidate.verdict, against)
    with registry.active() as mlflow, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # MLflow's hints on whole numbers and data set sources
        with one_run(registry, experiment, f"train-{feed.name}", tags, mlflow) as run_id:
            _log(feed, candidate, mlflow)
            model_id = log_once(registry, experiment, run_id, lambda: candidate.log(mlflow))
            version = registry.add_version(name, model_id, run_id, tags)
    return ModelVersion(name, version, run_id)


def accept(registry: Registry, registered: ModelVersion) -> None:
    """A version that passed gate and check is the candidate from now on."""
    registry.make_candidate(registered.name, registered.version)
    registry.tag_version(registered.name, registered.version, {CHECK: "passed"})


def refuse(registry: Registry, registered: ModelVersion, report: CheckReport) -> None:
    """A version that passed the gate and not the check stays registered, with the reasons and without an alias."""
    reasons = {CHECK_REASONS: _shortened(report.reasons), CHECK: "failed"}
    registry.tag_version(registered.name, registered.version, reasons)


def _log(feed: Feed, candidate: Candidate, mlflow: Any) -> None:
    """What the active run is to say beside its model; nothing changes where MLflow carries a request out twice."""
    at = time.time_ns() // 1_000_000  # the same in each try
    repeated(lambda: mlflow.log_params(dict(candidate.parameters)))
    repeated(lambda: mlflow.log_metrics(dict(candidate.metrics), timestamp=at))
    for context, rows in candidate.inputs.items():
        data_set = _data_set(feed, rows, candidate.origin.data_source, mlflow)
        repeated(partial(mlflow.log_input, data_set, context=context))
    for file, text in {**candidate.artifacts, GATE_FILE: candidate.verdict.to_json()}.items():
        repeated(partial(mlflow.log_text, text, file))


def _is_settled(tags: Mapping[str, str]) -> bool:
    return tags.get(GATE) == "rejected" or tags.get(CHECK) == "passed"


def _gate_tags(verdict: Verdict, against: str) -> dict[str, str]:
    if verdict.passed:
        return {GATE_AGAINST: against, GATE: "passed"}
    return {GATE_AGAINST: against, GATE: "rejected", GATE_REASONS: _shortened(verdict.reasons)}


def _shortened(reasons: tuple[str, ...]) -> str:
    return "\n".join(reasons)[:TAG_LENGTH]


def _split(candidate: Candidate) -> str:
    parts = {context: {"rows": len(rows.frame), "digest": rows.digest} for context, rows in candidate.inputs.items()}
    return json.dumps(candidate.settings.split.model_dump(mode="json") | parts)


def _data_set(feed: Feed, rows: Rows, source: str, mlflow: Any) -> Any:
    import mlflow.data

    place = None if source.startswith(MADE_UP) else source
    digest = rows.digest[:DIGEST_LENGTH]
    return mlflow.data.from_pandas(rows.frame, source=place, targets=rows.target, name=feed.name, digest=digest)
