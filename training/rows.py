"""A candidate for a feed of rows: what is fitted, and all that is to be known of it before anything is registered."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from schemas.errors import ContractError, SettingsError
from schemas.feed import Feed
from schemas.settings import Storage
from streamscore.registry.provenance import Provenance
from streamscore.registry.registry import Registry
from streamscore.statistics.profiles import Profile, bars, profile, profiles_to_json
from training.data.labels import read_labelled
from training.data.split import FITTED, HELD_OUT, Split, split
from training.data.training_data import Data, training_data
from training.evaluation.evaluate import Evaluation, evaluate, slice_columns
from training.evaluation.gate import Verdict, assert_known, judge_candidate
from training.evaluation.metrics import LABEL_METRICS, QUANTITY_METRICS
from training.evaluation.plots import Parts, draw
from training.evaluation.production import PROFILE_FILE, Production, load_production
from training.evaluation.report import Section, html_report
from training.fitting.estimators import is_classifier, make_estimator
from training.fitting.fit import fit
from training.fitting.log_model import Predict, log_model, predictor
from training.fitting.tune import Progress, Tuned, study_file, tune
from training.registration.register import Candidate, Rows
from training.settings import Estimator, TrainingSettings
from training.validation.findings import Findings, assert_valid
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
    names = LABEL_METRICS if labels else QUANTITY_METRICS
    assert_known(settings.gate, names, names)
    # 1
    parts = split(data, settings.split, feed)
    fitted, held_out = parts.fitted, parts.held_out
    slices = slice_columns(settings.gate.slices, held_out.features, held_out.others)
    # 2
    profiles = {FITTED: profile(fitted.columns()), HELD_OUT: profile(held_out.columns())}
    # 3
    before = load_production(feed, registry)
    if origin.made_up and before and not Provenance.is_made_up(before.ref.tags):
        raise SettingsError(
            f"found no data for feed {feed.name}, and generated rows must not judge {before.ref.title}, which is in "
            f"Production; give --data"
        )
    findings = validate(feed, parts, profiles, before.profile if before else None, settings.validation)
    if only_if_drift:
        if before and before.profile and not any(finding.check == "drift" for finding in findings.items):
            return None
        findings = Findings(tuple(replace(f, level="warning") if f.check == "drift" else f for f in findings.items))
    assert_valid(findings, data.source)
    # 4
    estimator, tuned = settings.estimator, None
    if settings.tuning.trials:
        study = study_file(feed, fitted.digest, estimator, settings.tuning, seed)
        tuned = tune(feed, fitted.features, fitted.target, estimator, settings.tuning, seed, study, progress)
        estimator = estimator.model_copy(update={"parameters": tuned.parameters})
    # 5
    model = fit(feed, fitted.features, fitted.target, estimator, seed)
    # 6
    rows = held_out.features, held_out.target, fitted.target, labels, slices, seed
    found = evaluate(predictor(feed, model), *rows)
    production = evaluate(_of_production(before), *rows) if before and settings.gate.relative is not None else None
    # 7
    verdict = judge_candidate(found, production, settings.gate)
    pictures = draw(feed, model, estimator, Parts(fitted.features, fitted.target, *rows[:2]), seed)
    return Candidate(
        origin=origin,
        settings=settings,
        log=lambda mlflow: log_model(feed, model, held_out.features.head(EXAMPLE_ROWS), mlflow),
        inputs={"training": Rows.of(fitted), "evaluation": Rows.of(held_out)},
        parameters={"estimator": estimator.name, **estimator.parameters, **settings.split.model_dump()},
        metrics=found.flat(),
        verdict=verdict,
        artifacts={
            PROFILE_FILE: profiles_to_json(profiles),
            "findings.json": findings.to_json(),
            "evaluation.json": found.to_json(),
            "report.html": _report(
                feed,
                origin,
                estimator,
                parts,
                profiles[FITTED],
                verdict,
                found,
                before,
                production,
                findings,
                tuned,
                pictures,
            ),
            **{f"{name}.svg": picture for name, picture in pictures.items()},
        },
    )


def _of_production(production: Production) -> Predict:
    def predict(features: pd.DataFrame) -> Any:
        try:
            return production.pyfunc.predict(features)
        except Exception as error:  # whatever a model raises
            raise ContractError(
                f"{production.ref.title}, in Production, cannot predict the held-out rows: {type(error).__name__}: "
                f"{' '.join(str(error).split())[:200]}; to go without it: gate: {{relative: null}}"
            ) from error

    return predict


def _report(
    feed: Feed,
    origin: Provenance,
    estimator: Estimator,
    parts: Split,
    statistics: Profile,
    verdict: Verdict,
    found: Evaluation,
    before: Production | None,
    production: Evaluation | None,
    findings: Findings,
    tuned: Tuned | None,
    pictures: Mapping[str, str],
) -> str:
    facts = {
        "data": f"{origin.data_source}, {origin.data_rows:,} rows, sha256 {origin.data_digest[:12]}…",
        "rows": f"{parts.fitted.rows:,} fitted, {parts.held_out.rows:,} held out",
        "model": ", ".join([estimator.name, *(f"{name} {value}" for name, value in estimator.parameters.items())]),
        "code": origin.code_version,
        "held against": before.ref.title if production and before else "no Production model",
    }
    if tuned:
        facts["tuned"] = f"{tuned.trials} trials, {tuned.pruned} given up early; {tuned.metric} {tuned.value:.4g}"
    before_metrics = production.metrics if production else {}
    metrics = [
        (
            name,
            value,
            f"{found.intervals[name].low:.4g} to {found.intervals[name].high:.4g}" if name in found.intervals else "",
            found.baseline.get(name),
            before_metrics.get(name),
        )
        for name, value in found.metrics.items()
    ]
    sections = [
        Section("Gate", "", ("check", "passed", "found"), [(c.name, c.passed, c.detail) for c in verdict.checks]),
        Section(
            "Held-out rows",
            "Intervals are 95 %, by bootstrap; the baseline always answers the mean, or the frequencies of the labels.",
            ("metric", "candidate", "interval", "baseline", "Production"),
            metrics,
        ),
        Section("Pictures", pictures=list(pictures.values())),
        Section(
            "Data",
            "" if findings.items else "No finding.",
            ("level", "check", "column", "rows", "found", "wanted"),
            [(f.level, f.check, f.column, f.split, f.found, f.wanted) for f in findings.items],
        ),
    ]
    sections.append(
        Section(
            "Statistics of the fitted rows",
            "",
            ("column", "nulls", "distinct", "lowest", "mean", "highest", "deviation", "histogram"),
            [(c.name, c.nulls, c.distinct, c.min, c.mean, c.max, c.std, bars(c)) for c in statistics.columns],
        )
    )
    if found.slices:
        names = list(found.metrics)
        sections.insert(
            2,
            Section(
                "Slices",
                "",
                ("column", "value", "rows", *names),
                [(s.column, s.value, s.rows, *(s.metrics.get(name) for name in names)) for s in found.slices],
            ),
        )
    return html_report(f"{feed.name}", verdict.passed, facts, sections)
