"""How a feed's model is trained: `conf/training/<feed>.yaml` over `conf/training/default.yaml`.

Typed; unknown keys are refused.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import SettingsError
from schemas.feed import first_problem

PACKAGED = Path(__file__).parent.parent / "conf"
DEFAULT = "default"


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Splitting(_Block):
    """Which rows are held out: never fitted on, judged by.

    Attributes:
        by: `ratio`: chosen at random; `time`: the last ones; `key`: all rows of a key together, by its hash.
        column: of the time or the key; empty: the feed's column of that role.
        seed: of everything random in a training run.
    """

    by: Literal["ratio", "time", "key"] = "ratio"
    column: str = ""
    held_out: float = Field(0.2, gt=0, lt=1)
    seed: int = 0


class Validation(_Block):
    """What is an error in data that are to be trained on, beside what the feed says.

    Attributes:
        drift: population stability index of a feature against the last Production model's data that is an error; a
            third of it is a warning.
        skew: the same between fitted and held-out rows.
        constant: what a feature with one value in all fitted rows is.
    """

    drift: float = Field(0.75, gt=0)
    skew: float = Field(0.75, gt=0)
    constant: Literal["error", "warning"] = "error"


class Estimator(_Block):
    """What is fitted.

    Attributes:
        name: `elastic_net`, `random_forest`, `hist_gradient_boosting`, `logistic_regression`, `var`, `varmax`, or the
            dotted name of a scikit-learn estimator that `allowed` has.
        parameters: of its constructor.
        allowed: dotted names, or modules whose estimators all are, beside those with a short name.
    """

    name: str = "elastic_net"
    parameters: dict[str, Any] = {}
    allowed: tuple[str, ...] = ("sklearn.linear_model", "sklearn.ensemble", "sklearn.tree")


class Tuning(_Block):
    """The search for parameters, by cross-validation on the fitted rows; 0 trials: none.

    Attributes:
        space: parameter → `{low, high, log, step}` for a number (whole if both ends are), or a list of choices; empty:
            the estimator's own.
    """

    trials: int = Field(0, ge=0)
    seconds: float = Field(600.0, gt=0)
    folds: int = Field(5, ge=2)
    space: dict[str, dict[str, Any] | list[Any]] = {}


class Gate(_Block):
    """What a model must reach on the held-out rows to be a candidate.

    Attributes:
        metric: that decides; errors and losses: less is better; r2, accuracy, f1, roc_auc: more.
        absolute: metric → its limit.
        relative: at most so much worse than the Production model on the same rows (0.02: 2 %); None: not compared.
        slices: columns; none of their slices of at least `slice_rows` rows may be more than `slice_relative` worse
            than the Production model there, or without one than the mean-only baseline.
        baseline: at most so much of the error of always predicting the mean, or label frequencies (1.0: no worse).
        promote: a version that passes goes into Production.
    """

    metric: str = ""  # rmse, or log_loss for a classifier
    absolute: dict[str, float] = {}
    relative: float | None = Field(0.0, ge=0)
    slices: tuple[str, ...] = ()
    slice_rows: int = Field(30, gt=0)
    slice_relative: float = Field(0.2, ge=0)
    baseline: float = Field(1.0, gt=0)
    promote: bool = False


class Check(_Block):
    """What a registered version must hold in a fresh process before it may be promoted."""

    predict_ms: float = Field(1000.0, gt=0)  # p99 of predicting the input example
    memory_mb: float = Field(2048.0, gt=0)  # resident, with the model loaded
    seconds: float = Field(300.0, gt=0)  # for the whole check


class Series(_Block):
    """How VAR and VARMAX are fitted.

    Attributes:
        columns: endogenous ones; empty: the feed's features.
        key: key column → its value, of the one series to train on where the data hold several.
        criterion: by which the lag order is chosen.
        max_lags: the largest order tried.
        alpha: significance of the stationarity and whiteness tests.
        max_differences: a column is differenced until the ADF test rejects a unit root, at most so often.
        steps: that a forecast reaches by default.
        coverage: of the interval bounds.
        origins: of the rolling backtest.
        season: rows in one season, for the seasonal naive forecast.
    """

    columns: tuple[str, ...] = ()
    key: dict[str, str] = {}
    criterion: Literal["aic", "bic", "hqic", "fpe"] = "aic"
    max_lags: int = Field(8, gt=0)
    alpha: float = Field(0.05, gt=0, lt=1)
    max_differences: int = Field(2, ge=0)
    steps: int = Field(4, gt=0)
    coverage: float = Field(0.95, gt=0, lt=1)
    origins: int = Field(20, gt=0)
    season: int = Field(4, gt=0)


class TrainingSettings(_Block):
    """All of them."""

    split: Splitting = Splitting()
    validation: Validation = Validation()
    estimator: Estimator = Estimator()
    tuning: Tuning = Tuning()
    gate: Gate = Gate()
    check: Check = Check()
    series: Series = Series()


def load_training_settings(feed: str, path: Path | None = None) -> TrainingSettings:
    """The training settings of a feed: of `path`, else of its file if there is one; keys not there as in the default's.

    Raises:
        SettingsError: no such file, or it is wrong; names the file, the key, what was found and wanted.
    """
    of_feed = path or _packaged_or_here(feed)
    files = [file for file in (_packaged_or_here(DEFAULT), of_feed) if file]
    merged: dict[str, Any] = {}
    for file in files:
        merged = _over(merged, _read(file))
    try:
        return TrainingSettings.model_validate(merged)
    except ValidationError as error:
        names = " over ".join(str(file) for file in reversed(files))
        raise SettingsError(
            f"training setting {first_problem(error, TrainingSettings)} ({names}); see docs/training.md"
        ) from error


def _packaged_or_here(name: str) -> Path | None:
    folders = (Path.cwd() / "conf" / "training", PACKAGED / "training")
    return next((path for folder in folders if (path := folder / f"{name}.yaml").is_file()), None)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        read = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"--config {path}: {error.strerror}; wanted a YAML file as conf/training/*.yaml") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(read or {}, dict):
        raise SettingsError(f"{path} holds a {type(read).__name__}, wanted keys as in conf/training/default.yaml")
    return read or {}


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Blocks are merged key by key, but not `estimator`: another one has other parameters; all else is taken whole."""
    merged = dict(below)
    for block, values in above.items():
        both = block != "estimator" and isinstance(values, dict) and isinstance(below.get(block), dict)
        merged[block] = {**below[block], **values} if both else values
    return merged
