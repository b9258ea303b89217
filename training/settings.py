"""How a feed's model is trained: `conf/training/<feed>.yaml` over `conf/training/default.yaml`.

Typed; unknown keys are refused. The tables of settings in `docs/training.md` and `docs/series.md` are generated from
the descriptions here: `python -m scripts.settings_reference`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from schemas.errors import SettingsError
from schemas.feed import first_problem
from schemas.frequency import Frequency

PACKAGED = Path(__file__).parent.parent / "conf"
DEFAULT = "default"
ANY = "any"  # as a frequency: rows are steps, whatever time lies between them


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Splitting(_Block):
    """Which rows are held out. They are never fitted on; the model is judged by them."""

    by: Literal["ratio", "time", "key"] = Field(
        "ratio",
        description="How rows are held out. `ratio` draws them at random; `time` takes the latest; `key` keeps all "
        "rows of one key on the same side.",
    )
    column: str = Field(
        "", description="The time or key column to split by. If it is empty, the feed's column of that role is used."
    )
    held_out: float = Field(0.2, gt=0, lt=1, description="The share of rows that is held out.")
    seed: int = Field(0, description="The seed of everything random in a training run.")


class Validation(_Block):
    """Which findings about the training data are errors, in addition to the feed's own rules."""

    drift: float = Field(
        0.75,
        gt=0,
        description="A feature's population stability index against the last Production model's data above which "
        "drift is an error. Above a third of it, drift is a warning.",
    )
    skew: float = Field(
        0.75,
        gt=0,
        description="A feature's population stability index between held-out and fitted rows above which skew is an "
        "error. Above a third of it, skew is a warning.",
    )
    constant: Literal["error", "warning"] = Field(
        "error", description="How to treat a feature that has one value in all fitted rows."
    )


class Estimator(_Block):
    """What is fitted."""

    name: str = Field(
        "elastic_net",
        description="`elastic_net`, `random_forest`, `hist_gradient_boosting`, `logistic_regression`, or the dotted "
        "name of a scikit-learn estimator that `estimator.allowed` covers. For a series: `var` or `varmax`.",
    )
    parameters: dict[str, Any] = Field({}, description="Arguments of the estimator's constructor.")
    allowed: tuple[str, ...] = Field(
        ("sklearn.linear_model", "sklearn.ensemble", "sklearn.tree"),
        description="Dotted names of the estimators that may be used, or of modules whose estimators all may be used. "
        "Those with a short name are always allowed.",
    )


class Tuning(_Block):
    """The search for parameters, by cross-validation on the fitted rows."""

    trials: int = Field(0, ge=0, description="How many sets of parameters to try. 0 turns tuning off.")
    seconds: float = Field(600.0, gt=0, description="The time that the search may take in one run, in seconds.")
    folds: int = Field(5, ge=2, description="The number of folds of the cross-validation.")
    space: dict[str, dict[str, Any] | list[Any]] = Field(
        {},
        description="The values to choose from: for each parameter either `{low, high, log, step}`, or a list of "
        "choices. If it is empty, the estimator's own space is used.",
    )


class Gate(_Block):
    """What a model must reach on the held-out rows to become a candidate."""

    metric: str = Field(
        "", description="The metric that decides. If it is empty: `rmse`, and `log_loss` for a classifier."
    )
    absolute: dict[str, float] = Field({}, description="A limit for each metric that is named here.")
    relative: float | None = Field(
        0.0,
        ge=0,
        description="How much worse than the Production model the new model may be on the same rows; `0.02` is 2 %. "
        "`null` turns the comparison off.",
    )
    slices: tuple[str, ...] = Field((), description="The columns whose values divide the rows into slices to judge.")
    slice_rows: int = Field(30, gt=0, description="The number of rows below which a slice is not judged.")
    slice_relative: float = Field(
        0.2,
        ge=0,
        description="How much worse than the Production model the new model may be in one slice. Without a Production "
        "model, the baseline is used.",
    )
    baseline: float = Field(
        1.0,
        gt=0,
        description="The largest error that is allowed, as a multiple of the baseline's error. The baseline always "
        "predicts the mean, or the label frequencies. `1.0` means no worse than it.",
    )
    promote: bool = Field(False, description="Put a version that passes gate and check into Production.")


class Check(_Block):
    """What a registered version must reach in a fresh process before it may be promoted."""

    predict_ms: float = Field(
        1000.0, gt=0, description="The longest time for predicting the input example, as p99, in milliseconds."
    )
    memory_mb: float = Field(
        2048.0, gt=0, description="The most memory the process may use with the model loaded, resident, in MB."
    )
    seconds: float = Field(300.0, gt=0, description="The time that the whole check may take, in seconds.")


class Series(_Block):
    """How VAR and VARMAX are fitted."""

    columns: tuple[str, ...] = Field(
        (), description="The endogenous columns. If it is empty, all features of the feed are endogenous."
    )
    key: dict[str, str] = Field(
        {}, description="The series to train on if the data hold several: for each key column its value."
    )
    frequency: str = Field(
        "",
        description="How far apart the rows are, for what they do not show by themselves: `P1D`, `PT1H`, `P3M`, or one "
        "of pandas' names, such as `B` for business days and `BME` for the last ones of months, perhaps with a zone, "
        "such as `P1D Europe/Berlin`. `any` takes rows for steps, whatever time lies between them. If it is empty, "
        "whole months or a fixed time is found.",
    )
    criterion: Literal["aic", "bic", "hqic", "fpe"] = Field(
        "aic", description="The information criterion that chooses the lag order."
    )
    max_lags: int = Field(8, gt=0, description="The largest lag order that is tried.")
    alpha: float = Field(
        0.05, gt=0, lt=1, description="The significance level of the stationarity and whiteness tests."
    )
    max_differences: int = Field(
        2,
        ge=0,
        description="How often a column may be differenced. Differencing ends once the ADF test rejects a unit root.",
    )
    steps: int = Field(4, gt=0, description="The number of steps that a forecast reaches by default.")
    coverage: float = Field(0.95, gt=0, lt=1, description="The coverage of the interval bounds.")
    origins: int = Field(20, gt=0, description="The number of origins of the rolling backtest.")
    season: int = Field(4, gt=0, description="The number of rows in one season, for the seasonal naive forecast.")

    @field_validator("frequency")
    @classmethod
    def _is_one(cls, value: str) -> str:
        if value not in ("", ANY):
            Frequency.parse(value)
        return value


class TrainingSettings(_Block):
    """All training settings of a feed."""

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
        msg = f"training setting {first_problem(error, TrainingSettings)} ({names}); see docs/training.md"
        raise SettingsError(msg) from error


def _packaged_or_here(name: str) -> Path | None:
    folders = (Path.cwd() / "conf" / "training", PACKAGED / "training")
    return next((path for folder in folders if (path := folder / f"{name}.yaml").is_file()), None)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        read = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        msg = f"--config {path}: {error.strerror}; wanted a YAML file as conf/training/*.yaml"
        raise SettingsError(msg) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"{path} is not YAML: {' '.join(str(error).split())}"
        raise SettingsError(msg) from error
    if not isinstance(read or {}, dict):
        msg = f"{path} holds a {type(read).__name__}, wanted keys as in conf/training/default.yaml"
        raise SettingsError(msg)
    return read or {}


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Blocks are merged key by key, but not `estimator`: another one has other parameters; all else is taken whole."""
    merged = dict(below)
    for block, values in above.items():
        both = block != "estimator" and isinstance(values, dict) and isinstance(below.get(block), dict)
        merged[block] = {**below[block], **values} if both else values
    return merged
