"""`streamscore train`: the flow from data to a model version that has earned Production."""

from dataclasses import dataclass, replace

from schemas.errors import SettingsError, TryAgainError
from schemas.feed import Feed
from schemas.settings import Storage
from streamscore.registry.model_uri import VersionInfo
from streamscore.registry.promotions import Promotion
from streamscore.registry.provenance import GATE_REASONS, Provenance
from streamscore.registry.registry import Registry
from training.data.training_data import Data
from training.fitting.tune import Progress
from training.registration.check import Checker
from training.registration.register import Candidate, accept, find_same, model_name, origin_of, refuse, register
from training.rows import Source, load_rows, rows_candidate
from training.series.candidate import series_candidate
from training.series.data import SeriesData, load_series
from training.settings import TrainingSettings

GATE = "gate"  # who promoted, where the settings let a version that passed into Production


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training run made, or found made before.

    Attributes:
        name, version, run_id: the model version and its run; both empty: nothing was to be done, as nothing drifted.
        metrics: on the held-out rows, those of the baseline as `baseline_…`.
        origin: data, feed, settings and code that it was made of.
        reasons: why it is no candidate, a line each; empty: it is one.
        is_new: registered now; else a version of the same origin was there.
        promotion: None if it was not put into Production now.
    """

    name: str
    version: str
    run_id: str
    metrics: dict[str, float]
    origin: Provenance
    reasons: tuple[str, ...]
    is_new: bool
    promotion: Promotion | None = None


def train(
    feed: Feed,
    source: Source,
    registry: Registry,
    settings: TrainingSettings,
    *,
    promote: bool = False,
    only_if_drift: bool = False,
    storage: Storage | None = None,
    progress: Progress = lambda *_: None,
) -> TrainResult:
    """From data to a model version: a candidate, or rejected with the reasons and Production untouched.

    1. The registry must answer, before any work.  2. Data.  3. Nothing is registered if a version of the same data,
    feed, settings and code is there.  4. A candidate, judged by the gate.  5. Register it, and try it in a fresh
    process.  6. Promote it if it passed and the settings or the caller want it.

    Args:
        promote: as `gate.promote` in the settings.
        only_if_drift: do nothing if the data did not drift from those of the Production model.
        storage: how a predictions table in an object store is reached.
        progress: of tuning.

    Raises:
        FeedError, SettingsError: the data, the feed or the settings will not do; nothing is registered.
        RegistryError: the registry does not answer.
        TryAgainError: another version went into Production meanwhile; this one stays a candidate.
    """
    _assert_trainable(feed, source, only_if_drift)
    name = model_name(feed)
    with Checker(feed, name, registry) as checker:  # it imports beside all of this, on another core
        # 1
        registry.experiment(feed.name)
        # 2
        data = _load(feed, source, settings, storage or Storage())
        origin = origin_of(feed, data.source, data.digest, data.rows, settings)
        # 3
        against = registry.in_production(name) or ""
        if same := find_same(registry, name, origin.key):
            result = _as_before(name, same, origin)
        else:
            # 4
            if isinstance(data, SeriesData):
                candidate: Candidate | None = series_candidate(feed, data, origin, registry, settings)
            else:
                candidate = rows_candidate(
                    feed, data, origin, registry, settings, only_if_drift=only_if_drift, progress=progress
                )
            if candidate is None:
                return TrainResult(name, "", "", {}, origin, (), is_new=False)
            # 5
            result = _register(feed, candidate, registry, against, checker)
    # 6
    if (promote or settings.gate.promote) and not result.reasons:
        return _promote(feed, result, registry, against, by="" if promote else GATE)
    return result


def _assert_trainable(feed: Feed, source: Source, only_if_drift: bool) -> None:
    if feed.kind == "series" and source.predictions:
        msg = f"--predictions: feed {feed.name} is a series, which is trained on files; give --data"
        raise SettingsError(msg)
    if feed.kind == "series" and only_if_drift:
        msg = f"--if-drift: feed {feed.name} is a series, for which there is no drift; leave the flag out"
        raise SettingsError(msg)


def _promote(feed: Feed, result: TrainResult, registry: Registry, against: str, by: str) -> TrainResult:
    """Put it into Production, but not what was there before and was taken back."""
    if not result.is_new and _was_promoted(registry, result):
        return result
    if (now := registry.in_production(result.name) or "") != against:
        msg = (
            f"{result.name} v{result.version} was held against v{against or '-'}, and v{now or '-'} went into "
            f"Production meanwhile; run the same command again"
        )
        raise TryAgainError(msg)
    return replace(result, promotion=registry.promote(result.name, result.version, feed, by=by))


def _was_promoted(registry: Registry, found: TrainResult) -> bool:
    """A version that was in Production and is not any more was taken back by somebody, who knew why."""
    return any(found.version in (done.version, done.previous) for done in registry.history(found.name))


def _as_before(name: str, same: VersionInfo, origin: Provenance) -> TrainResult:
    """What was said of a version of the same data, feed, settings and code."""
    reasons = tuple(same.tags.get(GATE_REASONS, "").splitlines())
    return TrainResult(name, same.version, same.run_id, same.metrics, origin, reasons, is_new=False)


def _load(feed: Feed, source: Source, settings: TrainingSettings, storage: Storage) -> Data | SeriesData:
    if feed.kind == "series":
        return load_series(feed, source.data, settings.series)
    return load_rows(feed, source, settings, storage)


def _register(feed: Feed, candidate: Candidate, registry: Registry, against: str, checker: Checker) -> TrainResult:
    """Registered either way; the alias is for one that passed the gate, and the check after it."""
    made, reasons = register(feed, candidate, registry, against), candidate.verdict.reasons
    if not reasons:
        report = checker.check(made.version, candidate.settings.check)
        reasons = report.reasons
        if report.passed:
            accept(registry, made)
        else:
            refuse(registry, made, report)
    metrics = dict(candidate.metrics)
    return TrainResult(made.name, made.version, made.run_id, metrics, candidate.origin, reasons, is_new=True)
