"""Each example does what its page says, run as a reader runs it: by its script, in a copy of the folder."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.folders import new_folder
from tests.docs.run_blocks import SECONDS, environment

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.repeats]
TODAY = "data/today.csv"


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples beside the feeds, profiles and environment of the project."""
    work = tmp_path_factory.mktemp("examples") / "work"
    new_folder(work)
    return work / "examples"


def run(command: list[str], folder: Path) -> list[str]:
    """The lines that a command printed, after the log lines of the stream."""
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def own_csv(examples: Path) -> list[str]:
    """What the example of your own CSV printed."""
    return run(["own_csv/run.sh"], examples)


def test_your_own_csv_is_scored_by_your_own_model(own_csv: list[str]) -> None:
    *_, heading, first, second, third, _, comma, hail = own_csv
    assert "deliveries v1 is in Production" in "\n".join(own_csv)
    assert heading.split() == ["order_id", "distance_km", "weather", "prediction", "model_version"]
    assert [line.split()[0] for line in (first, second, third)] == ["D-2001", "D-2002", "D-2005"]
    assert ("bad_type" in comma, "not_allowed" in hail) == (True, True)


@pytest.mark.usefixtures("own_csv")
def test_a_scheduled_catch_up_takes_what_landed_since(examples: Path) -> None:
    folder = examples / "own_csv"
    shutil.copy(folder / TODAY, folder / "var" / "landing" / "deliveries" / "later.csv")
    printed = run(["../schedule/catch_up.sh", "deliveries"], folder)
    assert any(line.split() == ["files", "waiting", "0"] for line in printed)
    assert any(line.split() == ["rows", "predicted", "6"] for line in printed)


def test_a_model_of_another_library_predicts_a_value_with_bounds(examples: Path) -> None:
    printed = run(["other_library/run.sh"], examples)
    rows = [[float(value) for value in line.split()] for line in printed[-4:]]
    assert [row[0] for row in rows] == [3.4, 6.2, 7.5, 11.0]
    assert all(lower < minutes < upper for _, _, minutes, lower, upper in rows)


def test_a_series_is_forecast_four_steps_after_its_newest_quarter(examples: Path) -> None:
    printed = run(["series/run.sh"], examples)
    rows = [line.split() for line in printed[-4:]]
    assert [(row[0], row[1]) for row in rows] == [("2009-07-01", str(step)) for step in (1, 2, 3, 4)]
    assert all(float(lower) < float(forecast) < float(upper) for _, _, forecast, lower, upper in rows)
