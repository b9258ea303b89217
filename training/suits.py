"""Whether the training settings suit a feed: nothing heavy is imported, so that a command says it at once."""

from schemas.errors import FeedError, SettingsError
from schemas.feed import Column, Feed
from training.settings import TrainingSettings

# short name → what predicts a number, what predicts a label
SHORT: dict[str, tuple[str | None, str | None]] = {
    "elastic_net": ("sklearn.linear_model.ElasticNet", None),
    "random_forest": ("sklearn.ensemble.RandomForestRegressor", "sklearn.ensemble.RandomForestClassifier"),
    "hist_gradient_boosting": (
        "sklearn.ensemble.HistGradientBoostingRegressor",
        "sklearn.ensemble.HistGradientBoostingClassifier",
    ),
    "logistic_regression": (None, "sklearn.linear_model.LogisticRegression"),
}
OF_SERIES = ("var", "varmax")
NUMBERS = ("float", "double")  # predicted as they are
LABELS = ("string", "boolean")  # predicted with a probability each; whole numbers may be either


def assert_suits(feed: Feed, settings: TrainingSettings) -> None:
    """Hold the estimator and the split against the feed's kind and target, as far as their names tell.

    Raises:
        SettingsError: they are for another kind of feed; names the file and what to write into it.
        FeedError: the feed has no target, or one that is neither a number nor a label.
    """
    name, file = settings.estimator.name, f"conf/training/{feed.name}.yaml"
    if feed.kind == "rows":
        if name in SHORT:
            class_of(feed, name)
    elif name not in OF_SERIES:
        msg = (
            f"estimator.name is '{name}', a feed of kind series wants var or varmax; write into {file} the lines "
            f"`split: {{by: time}}` and `estimator: {{name: var}}`"
        )
        raise SettingsError(msg)
    elif settings.split.by != "time":
        msg = f"split.by is '{settings.split.by}', a series is split by time; write split: {{by: time}} into {file}"
        raise SettingsError(msg)


def class_of(feed: Feed, name: str) -> str:
    """The dotted name of the class that a short name stands for, for this feed's target.

    Raises:
        SettingsError, FeedError: as `assert_suits`.
    """
    target = target_of(feed)
    number, label = SHORT[name]
    dotted = label if target.type in LABELS else number or (None if target.type in NUMBERS else label)
    if dotted is None:
        raise unfit(feed, target, name)
    return dotted


def target_of(feed: Feed) -> Column:
    """The column to predict.

    Raises:
        FeedError: there is none, or it is neither a number nor a label.
    """
    if feed.target is None:
        msg = f"feed {feed.name} has no target; give the column to predict 'role: target' in its file"
        raise FeedError(msg)
    if feed.target.type in ("date", "timestamp"):
        msg = f"feed {feed.name}: the target '{feed.target.name}' is a {feed.target.type}, wanted a number or a label"
        raise FeedError(msg)
    return feed.target


def unfit(feed: Feed, target: Column, name: str) -> SettingsError:
    """That an estimator cannot predict this target."""
    other = "logistic_regression" if target.type in LABELS else "elastic_net"
    return SettingsError(
        f"estimator.name '{name}' cannot predict the target '{target.name}' of feed {feed.name}, a {target.type}: "
        "float and double want a regressor, string and boolean a classifier; write into "
        f"conf/training/{feed.name}.yaml the line `estimator: {{name: {other}}}`, or one of docs/training.md"
    )
