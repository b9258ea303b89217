"""A candidate for a feed of kind `series`: a forecaster judged by its backtest, before anything is registered."""

import hashlib
import json

from schemas.errors import SettingsError
from schemas.feed import Feed
from streamscore.registry.provenance import Provenance
from streamscore.registry.registry import Registry
from training.data.split import FITTED, HELD_OUT
from training.evaluation.evaluate import Evaluation
from training.evaluation.gate import Verdict, assert_known, judge_candidate
from training.evaluation.production import Production, load_production
from training.evaluation.report import Cell, Section, html_report
from training.registration.register import Candidate, Rows
from training.series.data import SeriesData
from training.series.log_forecaster import log_forecaster, parameters_of
from training.series.pipeline import evaluate_forecaster, fit_series
from training.series.result import SeriesResult
from training.settings import TrainingSettings

BASELINE = "baseline_"


def series_candidate(
    feed: Feed, data: SeriesData, origin: Provenance, registry: Registry, settings: TrainingSettings
) -> Candidate:
    """From a series to a judged forecaster; nothing is registered.

    1. Fit, test and backtest.  2. Production from the same origins.  3. The gate; the baseline is the naive forecast.

    Raises:
        FeedError, SettingsError: the data or the settings will not do.
        RegistryError: the registry does not answer.
    """
    if settings.gate.slices:
        msg = "gate.slices: a series has no slices; leave them out"
        raise SettingsError(msg)
    baseline = ["rmse", "mae", *(f"rmse_{column}" for column in data.values)]
    assert_known(settings.gate, [*baseline, "bounds_coverage", *(f"mae_{column}" for column in data.values)], baseline)
    # 1
    found = fit_series(feed, data, settings)
    # 2
    before = load_production(feed, registry) if settings.gate.relative is not None else None
    production = _evaluation(_metrics_of(before, data, settings)) if before else None
    # 3
    verdict = judge_candidate(_evaluation(found.metrics), production, settings.gate)
    parts = data.frame.iloc[: found.fitted_rows], data.frame.iloc[found.fitted_rows :]
    digests = (hashlib.sha256(f"{data.digest} {part}".encode()).hexdigest() for part in (FITTED, HELD_OUT))
    fitted, held_out = (Rows(part.reset_index(), digest) for part, digest in zip(parts, digests, strict=True))
    facts = {
        "data": f"{origin.data_source}, {origin.data_rows:,} rows, sha256 {origin.data_digest[:12]}…",
        "rows": f"{found.fitted_rows:,} fitted, {data.rows - found.fitted_rows:,} held out{_apart(data)}",
        "model": found.fit.title,
        "code": origin.code_version,
        "held against": before.ref.title if before else "no Production model",
    }
    return Candidate(
        origin=origin,
        settings=settings,
        log=lambda mlflow: log_forecaster(found, mlflow),
        inputs={"training": fitted, "evaluation": held_out},
        parameters=parameters_of(found, settings),
        metrics=found.metrics,
        verdict=verdict,
        artifacts={
            "series_report.json": json.dumps(found.to_json(), indent=2),
            "report.html": html_report(feed.name, verdict.passed, facts, _sections(verdict, found)),
            **{f"{name}.svg": picture for name, picture in found.plots.items()},
        },
    )


def _apart(data: SeriesData) -> str:
    return f", {data.frequency} apart" if data.frequency else ""


def _metrics_of(before: Production, data: SeriesData, settings: TrainingSettings) -> dict[str, float]:
    """The forecaster in Production on the same held-out rows, from the same origins."""
    forecaster = getattr(before.pyfunc.python_model, "forecaster", None)
    if forecaster is None:
        msg = (
            f"{before.ref.title}, in Production, is no forecaster of ours and cannot be backtested; "
            f"to go without it: gate: {{relative: null}}"
        )
        raise SettingsError(msg)
    return evaluate_forecaster(forecaster, data, settings)


def _evaluation(metrics: dict[str, float]) -> Evaluation:
    own = {name: value for name, value in metrics.items() if not name.startswith(BASELINE)}
    naive = {name.removeprefix(BASELINE): value for name, value in metrics.items() if name.startswith(BASELINE)}
    return Evaluation(own, naive, {})


def _sections(verdict: Verdict, found: SeriesResult) -> list[Section]:
    checks = [(check.name, check.passed, check.detail) for check in verdict.checks]
    table = found.backtest.table()
    compared: list[list[Cell]] = [
        [str(name), *map(float, row)] for name, row in zip(table.index, table.to_numpy(), strict=True)
    ]
    orders = found.order.table
    lags = [
        (lag, *(orders[name][lag - 1] for name in orders)) for lag in range(1, 1 + len(next(iter(orders.values()))))
    ]
    chosen = f"{found.order.lags} lags by {found.order.criterion}."
    white = f"Portmanteau test up to lag {found.whiteness.lags}: p = {found.whiteness.p_value:.3g}."
    return [
        Section("Gate", "", ("check", "passed", "found"), checks),
        Section(
            "Backtest",
            f"Root mean squared error from {len(found.backtest.origins)} origins on the held-out rows, of which "
            f"{found.metrics['bounds_coverage']:.0%} lie in the {found.forecaster.coverage:.0%} bounds.",
            ("forecaster", *map(str, table.columns)),
            compared,
        ),
        Section("Pictures", pictures=list(found.plots.values())),
        Section("Lag order", chosen, ("lags", *orders), lags),
        Section("Residuals", " ".join([white, *found.warnings])),
    ]
