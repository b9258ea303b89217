"""A candidate for a feed of rows: what is fitted, and all that is to be known of it before anything is registered."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.pipeline import Pipeline

from schemas.errors import ContractError, SettingsError
from schemas.feed import Feed
from schemas.settings import Storage
from streamscore.registry.missing_text import mark_missing
from streamscore.registry.provenance import Provenance
from streamscore.registry.registry import Registry
from streamscore.statistics.profiles import profile
from streamscore.statistics.sketches import STATISTICS_FILE, ModelStatistics, sketches
from training.data.labels import read_labelled
from training.data.split import FITTED, HELD_OUT, split
from training.data.training_data import Data, training_data
from training.evaluation.evaluate import evaluate, slice_columns
from training.evaluation.gate import assert_known, judge_candidate
from training.evaluation.metrics import LABEL_METRICS, QUANTITY_METRICS
from training.evaluation.plots import Parts, draw
from training.evaluation.production import Production, load_production
from training.fitting.estimators import is_classifier, make_estimator
from training.fitting.fit import fit
from training.fitting.log_model import Predict, log_model, predictor
from training.fitting.tune import Progress, Tuned, study_file, tune
from training.registration.register import Candidate, Rows
from training.rows_report import JudgedModel
from training.settings import Estimator, Gate, TrainingSettings
from training.validation.findings import assert_valid
from training.validation.has_drifted import feature_sketches, has_drifted
from training.validation.validate import validate

EXAMPLE_ROWS = 5


@dataclass(frozen=True, slots=True)
class Source:
    """Where the rows come from: a file or folder; or a predictions table and labels; or neither: the feed's default."""

    data: Path | None = None
    predictions: str = ""
    labels: Path | None = None


def load_rows(feed: Feed, source: Source, settings: TrainingSettings, storage: Storage) -> Data:
    """The rows to train on.

    Raises:
        FeedError, SettingsError: they will not do.
    """
    labels = is_classifier(feed, settings.estimator)
    make_estimator(feed, settings.estimator, settings.split.seed)  # its parameters, before anything is read
    if source.predictions and source.labels:
        return read_labelled(feed, source.predictions, source.labels, labels, storage)
    return training_data(feed, source.data, settings.split.seed, labels)


def rows_candidate(
    feed: Feed,
    data: Data,
    origin: Provenance,
    registry: Registry,
    settings: TrainingSettings,
    *,
    only_if_drift: bool,
    progress: Progress,
) -> Candidate | None:
    """From rows to a judged model; nothing is registered.

    1. Split.  2. Statistics.  3. Validate.  4. Tune.  5. Fit.  6. Evaluate, Production on the same rows.  7. The gate.

    Args:
        only_if_drift: None where no feature drifted from the Production model's data; where one did, that is the reason
            to train, and no error.

    Raises:
        FeedError, SettingsError: the data or the settings will not do; nothing was fitted.
        RegistryError: the registry does not answer.
    """
    labels, seed = is_classifier(feed, settings.estimator), settings.split.seed
    _assert_measured(settings.gate, labels=labels)
    # 1
    parts = split(data, settings.split, feed)
    fitted, held_out = parts.fitted, parts.held_out
    slices = slice_columns(settings.gate.slices, held_out.features, held_out.others)
    # 2
    profiles = {FITTED: profile(fitted.columns()), HELD_OUT: profile(held_out.columns())}
    # 3
    before = _production(feed, origin, registry)
    findings = validate(feed, parts, profiles, before.profile if before else None, settings.validation)
    if only_if_drift:
        if before and not has_drifted(feed, before, fitted, findings):
            return None
        findings = findings.as_warnings("drift")
    assert_valid(findings, data.source)
    # 4
    estimator, tuned = _tuned(feed, fitted, settings, progress)
    # 5
    model = fit(feed, fitted.features, fitted.target, estimator, seed)
    # 6
    rows = held_out.features, held_out.target, fitted.target, labels, slices, seed
    found = evaluate(predictor(feed, model), *rows)
    production = evaluate(_of_production(before), *rows) if before and settings.gate.relative is not None else None
    # 7
    verdict = judge_candidate(found, production, settings.gate)
    pictures = draw(feed, model, estimator, Parts(fitted.features, fitted.target, *rows[:2]), seed)
    judged = JudgedModel(estimator, tuned, parts, profiles, findings, before, found, production, verdict, pictures)
    return _candidate(feed, origin, settings, model, judged)


def _assert_measured(gate: Gate, *, labels: bool) -> None:
    names = LABEL_METRICS if labels else QUANTITY_METRICS
    assert_known(gate, names, names)


def _candidate(
    feed: Feed, origin: Provenance, settings: TrainingSettings, model: Pipeline, judged: JudgedModel
) -> Candidate:
    fitted, held_out, estimator = judged.parts.fitted, judged.parts.held_out, judged.estimator
    statistics = _statistics(feed, fitted, predictor(feed, model)(held_out.features))
    return Candidate(
        origin=origin,
        settings=settings,
        log=lambda mlflow: log_model(feed, model, held_out.features.head(EXAMPLE_ROWS), mlflow),
        inputs={"training": Rows.of(fitted), "evaluation": Rows.of(held_out)},
        parameters={"estimator": estimator.name, **estimator.parameters, **settings.split.model_dump()},
        metrics=judged.evaluation.flat(),
        verdict=judged.verdict,
        artifacts=judged.artifacts(feed, origin) | {STATISTICS_FILE: statistics.to_json()},
    )


def _statistics(feed: Feed, fitted: Data, answers: np.ndarray | pd.DataFrame) -> ModelStatistics:
    """Features as the model learned them, and its answers to rows that it has not seen, under the tables' names."""
    if isinstance(answers, pd.DataFrame):
        columns = [(f"prediction.{name}", pa.array(answers[name], from_pandas=True)) for name in answers]
    else:
        columns = [("prediction", pa.array(answers, from_pandas=True))]
    predictions = tuple(made for name, values in columns for made in sketches(name, values))
    return ModelStatistics(feature_sketches(feed, fitted), predictions)


def _production(feed: Feed, origin: Provenance, registry: Registry) -> Production | None:
    """The version in Production, which generated rows may not judge unless it was made of such rows, too."""
    before = load_production(feed, registry)
    if origin.made_up and before and not Provenance.is_made_up(before.ref.tags):
        msg = (
            f"found no data for feed {feed.name}, and generated rows must not judge {before.ref.title}, which is in "
            f"Production; give --data"
        )
        raise SettingsError(msg)
    return before


def _tuned(feed: Feed, fitted: Data, settings: TrainingSettings, progress: Progress) -> tuple[Estimator, Tuned | None]:
    """The estimator with the parameters that a search chose, if the settings want one."""
    estimator, seed = settings.estimator, settings.split.seed
    if not settings.tuning.trials:
        return estimator, None
    study = study_file(feed, fitted.digest, estimator, settings.tuning, seed)
    tuned = tune(feed, fitted.features, fitted.target, estimator, settings.tuning, seed, study, progress)
    return estimator.model_copy(update={"parameters": tuned.parameters}), tuned


def _of_production(production: Production) -> Predict:
    def predict(features: pd.DataFrame) -> Any:
        features = features.reset_index(drop=True)  # numbered as the stream numbers rows, which an answer's index names
        mark_missing(features, features.select_dtypes(object), production.pyfunc.missing_text)
        try:
            answer = production.pyfunc.predict(features)
            return answer.sort_index() if isinstance(answer, pd.Series | pd.DataFrame) else answer
        except Exception as error:  # whatever a model raises
            msg = (
                f"{production.ref.title}, in Production, cannot predict the held-out rows: {type(error).__name__}: "
                f"{' '.join(str(error).split())[:200]}; to go without it: gate: {{relative: null}}"
            )
            raise ContractError(msg) from error

    return predict
