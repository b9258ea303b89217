"""Settings of another kind of feed are refused by their names alone, with the file and what to write into it."""

import subprocess
import sys

import pytest
import yaml

from schemas.errors import SettingsError
from schemas.feed import Feed, load_feed
from training.settings import Estimator, Splitting, TrainingSettings
from training.suits import assert_suits


def rows_feed(target: str) -> Feed:
    columns = [{"name": "x", "type": "double"}, {"name": "y", "type": target, "role": "target"}]
    return Feed.model_validate({"name": "shop", "columns": columns})


@pytest.mark.parametrize(
    ("feed", "settings"),
    [
        (load_feed("macrodata"), TrainingSettings()),
        (rows_feed("string"), TrainingSettings()),
        (rows_feed("boolean"), TrainingSettings()),
        (rows_feed("double"), TrainingSettings(estimator=Estimator(name="logistic_regression"))),
    ],
)
def test_a_wrong_estimator_is_told_with_the_lines_to_write(feed: Feed, settings: TrainingSettings) -> None:
    with pytest.raises(
        SettingsError, match=f"estimator.name .* into conf/training/{feed.name}.yaml the line"
    ) as caught:
        assert_suits(feed, settings)
    lines = str(caught.value).split("`")[1::2]
    assert_suits(feed, TrainingSettings.model_validate(yaml.safe_load("\n".join(lines))))


def test_a_series_is_split_by_time() -> None:
    with pytest.raises(SettingsError, match=r"write split: \{by: time\} into conf/training/macrodata\.yaml"):
        assert_suits(load_feed("macrodata"), TrainingSettings(estimator=Estimator(name="varmax")))
    suits = TrainingSettings(estimator=Estimator(name="varmax"), split=Splitting(by="time"))
    assert_suits(load_feed("macrodata"), suits)
    assert_suits(rows_feed("long"), TrainingSettings())


def test_it_is_told_before_anything_heavy_is_imported() -> None:
    code = "import sys, training.suits; print({'sklearn', 'mlflow', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
