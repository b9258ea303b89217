"""The search for an estimator's parameters: a study that can be interrupted at any time and goes on where it was."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, StratifiedKFold

from schemas.errors import FeedError, StorageError
from schemas.feed import Feed
from training.evaluation.metrics import loss, loss_name
from training.fitting.estimators import is_classifier, make_estimator
from training.fitting.fit import assert_no_times, fit
from training.fitting.log_model import predictor
from training.fitting.search_space import search_space
from training.settings import Estimator, Tuning

if TYPE_CHECKING:  # takes a second to import
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

WARM_TRIALS = 5  # the first ones, never given up before their last fold
NAME = "tune"

# finished trials, trials wanted, the least loss so far (null before the first)
Progress = Callable[[int, int, float | None], None]


@dataclass(frozen=True, slots=True)
class Tuned:
    """What the search found.

    Attributes:
        parameters: the estimator's own, those found put over them.
        metric: that was made small: rmse, of a classifier log_loss.
        value: its mean over the folds.
        trials, pruned: finished ones, of earlier runs too; those of them given up before their last fold.
        resumed: trials that earlier runs had finished.
    """

    parameters: dict[str, Any]
    metric: str
    value: float
    trials: int
    pruned: int
    resumed: int


def study_file(feed: Feed, data_digest: str, estimator: Estimator, tuning: Tuning, seed: int) -> Path:
    """`./var/studies/<feed>-<digest>.db`: the same for the same feed, data and settings, budgets aside."""
    settings = [estimator.model_dump(mode="json"), tuning.model_dump(mode="json", exclude={"trials", "seconds"})]
    said = json.dumps([feed.model_dump(mode="json"), data_digest, settings, seed], sort_keys=True)
    return Path.cwd() / "var" / "studies" / f"{feed.name}-{hashlib.sha256(said.encode()).hexdigest()[:16]}.db"


def tune(
    feed: Feed,
    features: pd.DataFrame,
    target: pd.Series,
    estimator: Estimator,
    tuning: Tuning,
    seed: int,
    study_path: Path | None = None,
    progress: Progress = lambda *_: None,
) -> Tuned:
    """The parameters with the least loss in cross-validation on the fitted rows.

    A trial that is worse than the median of those before it at the same fold is given up. The search ends when
    `tuning.trials` are finished or `tuning.seconds` of this run are over, but not before one trial is finished. Trial n
    is drawn with seed + n, so that an interrupted study finds what an uninterrupted one would have found.

    Args:
        study_path: of the study's SQLite file, see `study_file`; None: kept in memory.
        progress: called at the start and after each trial.

    Raises:
        SettingsError: the search space will not do, or the estimator refuses a choice of it.
        FeedError: fewer rows, or rows of a label, than folds.
        StorageError: the study's file cannot be used.
    """
    space = search_space(feed, estimator, tuning)
    assert_no_times(feed)
    cross = _Cross(feed, features, target, tuple(_folds(feed, target, estimator, tuning, seed)), seed)
    study = _study(study_path)
    resumed, end = len(_finished(study)), time.monotonic() + tuning.seconds
    progress(resumed, tuning.trials, _best(study))
    while not (done := len(_finished(study))) or (done < tuning.trials and time.monotonic() < end):
        study.sampler = _sampler(seed + done)
        trial = study.ask()
        drawn = estimator.parameters | {name: part.draw(trial, name) for name, part in space.items()}
        _run(study, trial, cross, estimator.model_copy(update={"parameters": drawn}), end if done else float("inf"))
        progress(len(_finished(study)), tuning.trials, _best(study))
    best, finished = study.best_trial, _finished(study)
    pruned = sum(trial.state.name == "PRUNED" for trial in finished)
    metric = loss_name(is_classifier(feed, estimator))
    return Tuned(estimator.parameters | best.params, metric, study.best_value, len(finished), pruned, resumed)


@dataclass(frozen=True, slots=True)
class _Fold:
    fitted: np.ndarray
    judged: np.ndarray


@dataclass(frozen=True, slots=True)
class _Cross:
    """Cross-validation on fixed folds."""

    feed: Feed
    features: pd.DataFrame
    target: pd.Series
    folds: tuple[_Fold, ...]
    seed: int

    def loss(self, estimator: Estimator, fold: _Fold) -> float:
        """Of the rows of one fold, by a model that was fitted on the others."""
        known = self.target.iloc[fold.fitted]
        model = fit(self.feed, self.features.iloc[fold.fitted], known, estimator, self.seed)
        answer = predictor(self.feed, model)(self.features.iloc[fold.judged])
        return loss(answer, self.target.iloc[fold.judged], known, is_classifier(self.feed, estimator))


def _run(study: "Study", trial: "Trial", cross: _Cross, estimator: Estimator, end: float) -> None:
    """One trial, fold by fold; one that time runs out for is as if it had not been."""
    from optuna.trial import TrialState

    make_estimator(cross.feed, estimator, cross.seed)  # what it refuses is a wrong setting, not a bad trial
    losses: list[float] = []
    for step, fold in enumerate(cross.folds):
        if time.monotonic() > end:
            study.tell(trial, state=TrialState.FAIL)
            return
        losses.append(cross.loss(estimator, fold))
        trial.report(float(np.mean(losses)), step)
        if trial.should_prune() and step + 1 < len(cross.folds):
            study.tell(trial, state=TrialState.PRUNED)
            return
    study.tell(trial, float(np.mean(losses)))


def _folds(feed: Feed, target: pd.Series, estimator: Estimator, tuning: Tuning, seed: int) -> Iterator[_Fold]:
    labels = is_classifier(feed, estimator)
    rarest = target.value_counts().min() if labels else len(target)
    if rarest < tuning.folds:
        what = f"a label in {rarest} rows" if labels else f"{rarest} rows"
        msg = (
            f"feed {feed.name} has {what} to fit on, wanted at least one for each of tuning.folds {tuning.folds}; "
            "give more rows or fewer folds"
        )
        raise FeedError(msg)
    cut = (StratifiedKFold if labels else KFold)(tuning.folds, shuffle=True, random_state=seed)
    return (_Fold(fitted, rest) for fitted, rest in cut.split(np.zeros(len(target)), target))


def _study(path: Path | None) -> "Study":
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=WARM_TRIALS)
    if path is None:
        return optuna.create_study(pruner=pruner)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite, not optuna's journal file: a kill in the middle of a write leaves that with half a line for ever
        return optuna.create_study(storage=f"sqlite:///{path}", study_name=NAME, load_if_exists=True, pruner=pruner)
    except (OSError, SQLAlchemyError, RuntimeError) as error:
        msg = f"the study {path} cannot be used: {' '.join(str(error).split())[:200]}; remove it to start anew"
        raise StorageError(msg) from error


def _sampler(seed: int) -> Any:
    from optuna.samplers import TPESampler

    # a trial that a kill cut short runs for ever, as the study sees it, and is to change nothing
    return TPESampler(seed=seed, n_startup_trials=WARM_TRIALS, constant_liar=False)


def _finished(study: "Study") -> "list[FrozenTrial]":
    """Trials that came to an end, not those that a kill or the time cut short."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _best(study: "Study") -> float | None:
    return min((t.value for t in _finished(study) if t.state.name == "COMPLETE" and t.value is not None), default=None)
