"""What will not do is told in one line before anything is fitted, and leaves nothing in the registry."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from schemas.errors import FeedError, RegistryError, SettingsError
from schemas.feed import Feed
from schemas.settings import load_settings
from streamscore.registry.registry import Registry, open_registry
from tests.support.new_database import new_database
from training.pipeline import train
from training.rows import Source
from training.settings import TrainingSettings

ROWS = 60
NUMBERS = [{"name": "a", "type": "double"}, {"name": "b", "type": "double"}]
PRICED = Feed.model_validate(
    {"name": "priced", "columns": [*NUMBERS, {"name": "price", "type": "double", "role": "target"}]}
)
SORTED = Feed.model_validate(
    {"name": "sorted", "columns": [*NUMBERS, {"name": "kind", "type": "string", "role": "target"}]}
)
SERIES = Feed.model_validate(
    {"name": "daily", "kind": "series", "columns": [{"name": "at", "type": "date", "role": "time"}, *NUMBERS]}
)
QUANTITY = TrainingSettings()
LABEL = TrainingSettings.model_validate({"estimator": {"name": "logistic_regression"}})
VAR = TrainingSettings.model_validate({"split": {"by": "time"}, "estimator": {"name": "var"}})
VARMAX = TrainingSettings.model_validate({"split": {"by": "time"}, "estimator": {"name": "varmax"}})


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    uri = new_database(tmp_path_factory.mktemp("bad_input"))
    return open_registry(load_settings(flags={"registry.tracking_uri": uri}))


@pytest.fixture(autouse=True)
def nothing_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(*_: object) -> None:
        pytest.fail("something was fitted")

    for place in ("rows.fit", "series.pipeline.fit_var", "series.pipeline.fit_varmax", "rows.tune"):
        monkeypatch.setattr(f"training.{place}", fit)


def good() -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"at": pd.date_range("2026-01-01", periods=ROWS).strftime("%Y-%m-%d")})
    a, b = random.normal(size=(2, ROWS)).cumsum(axis=1)
    return frame.assign(a=a, b=b, price=a + random.normal(size=ROWS), kind=np.where(a > np.median(a), "x", "y"))


def at(row: Any, value: Any) -> Callable[..., Any]:
    """A change of one value."""
    return lambda column: [*column[:row], value, *column[row + 1 :]]


def text_of(**changed: Any) -> str:
    frame = good().astype(object)
    for name, change in changed.items():
        frame[name] = change(list(frame[name])) if callable(change) else change
    return frame.to_csv(index=False)


@pytest.mark.parametrize(
    ("feed", "settings", "text", "message"),
    [
        (PRICED, QUANTITY, "", "is empty, wanted a header"),
        (PRICED, QUANTITY, "a,b,price\n", "has a header and no rows; training wants some"),
        (PRICED, QUANTITY, good().drop(columns="price").to_csv(index=False), "lacks the target 'price'"),
        (PRICED, QUANTITY, text_of(price=at(3, "dear")), "found 'dear', wanted double"),
        (PRICED, QUANTITY, text_of(price=7), "'price' is 7.0 in every row, wanted numbers that vary"),
        (PRICED, QUANTITY, text_of(price=at(3, "nan")), "'price' is null or NaN in 1 of"),
        (PRICED, QUANTITY, text_of(a=at(3, "inf")), "'a' is infinite in 1 of"),
        (PRICED, QUANTITY, text_of(a=at(3, "nan")), "'a' is null or NaN in 1 of"),
        (PRICED, QUANTITY, text_of(b=2.5), "'b' is 2.5 in every row .*varies, or of a feature alone set validation"),
        (SORTED, LABEL, text_of(kind="x"), "'kind' is x in every row, wanted two classes at least"),
        (SERIES, VAR, "", "is empty, wanted a header"),
        (SERIES, VAR, "at,a,b\n", "a header and no rows"),
        (SERIES, VAR, text_of(a=at(3, "")), "'a' is null or NaN in 1 of 60 rows, first at 2026-01-04"),
        (SERIES, VAR, text_of(a=at(3, "-inf")), "'a' is infinite in 1 of 60 rows"),
        (SERIES, VAR, text_of(a=at(3, "x")), "does not hold what feed daily declares.*'x'"),
        (SERIES, VAR, text_of(b=1), "'b' is 1 in all 60 rows"),
        (SERIES, VARMAX, good().drop(index=30).to_csv(index=False), "after 2026-01-30 .* comes 2026-02-01"),
        (SERIES, VAR, good().head(24).to_csv(index=False), r"\d+ rows to fit 2 columns with up to 8 lags"),
        (SERIES, VARMAX, good().head(24).to_csv(index=False), r"\d+ rows to fit 2 columns with up to 8 lags"),
    ],
)
def test_it_is_told_before_anything_is_fitted_and_nothing_is_registered(
    registry: Registry, tmp_path: Path, feed: Any, settings: Any, text: Any, message: str
) -> None:
    path = tmp_path / "data.csv"
    path.write_text(text)
    with pytest.raises((FeedError, SettingsError), match=message) as caught:
        train(feed, Source(path), registry, settings)
    assert caught.value.exit_code == 2
    first = str(caught.value).splitlines()[0]
    assert len(first) < 500
    assert_nothing_is_there(registry, feed)


@pytest.mark.parametrize(
    ("feed", "given", "message"),
    [
        (PRICED, {"gate": {"metric": "rsme"}}, "did you mean 'rmse'"),
        (PRICED, {"gate": {"absolute": {"f1": 0.5}}}, "names 'f1', which is no metric"),
        (PRICED, {"gate": {"slices": ["region"]}}, "'region'"),
        (
            PRICED,
            {"estimator": {"name": "logistic_regression"}},
            "'logistic_regression' cannot predict the target 'price' of feed priced, a double",
        ),
        (PRICED, {"estimator": {"name": "os.system"}}, "os.system"),
        (PRICED, {"estimator": {"parameters": {"alfa": 1}}}, "alfa"),
        (SERIES, {"gate": {"slices": ["a"]}, "split": {"by": "time"}, "estimator": {"name": "var"}}, "no slices"),
        (SERIES, {"gate": {"metric": "r2"}, "split": {"by": "time"}, "estimator": {"name": "var"}}, "names 'r2'"),
        (SERIES, {}, "wants var or varmax"),
    ],
)
def test_settings_that_do_not_suit_the_feed_are_told_before_anything_is_fitted(
    registry: Registry, tmp_path: Path, feed: Any, given: Any, message: str
) -> None:
    path = tmp_path / "data.csv"
    path.write_text(text_of())
    with pytest.raises((FeedError, SettingsError), match=message):
        train(feed, Source(path), registry, TrainingSettings.model_validate(given))
    assert_nothing_is_there(registry, feed)


def assert_nothing_is_there(registry: Registry, feed: Feed) -> None:
    import mlflow

    client = mlflow.MlflowClient(registry.tracking_uri)
    assert client.search_runs([registry.experiment(feed.name)]) == []
    with pytest.raises(RegistryError, match=feed.name):
        registry.versions(feed.name)
