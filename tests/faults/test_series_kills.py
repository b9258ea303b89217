"""A series feed killed with -9 between its commits: the last observations are those of the table, every row once."""

from pathlib import Path

import pytest
import yaml

from schemas.settings import load_settings
from streamscore.registry.registry import open_registry
from tests.support.new_database import new_database
from tests.support.oracle import Stream
from tests.support.series_kit import SeriesOracle, feed_of, register, spoiled

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
ALL = ["parts:after", "quarantine:after", "predictions:before", "predictions:after", "spark_commit:before"]
MODELS = {"1": (3, 1.0), "2": (5, 0.5)}


@pytest.mark.parametrize(
    "points",
    [
        pytest.param(["predictions:after"], id="short", marks=pytest.mark.repeats),
        pytest.param(ALL, id="all", marks=pytest.mark.faults_long),
    ],
)
def test_a_kill_between_the_commits_loses_and_doubles_no_observation(tmp_path: Path, points: list[str]) -> None:
    feed = feed_of()
    (tmp_path / "schemas").mkdir()
    text = yaml.safe_dump(feed.model_dump(mode="json", exclude_unset=True))
    (tmp_path / "schemas" / "sensors.yaml").write_text(text)
    registry = open_registry(load_settings(flags={"registry.tracking_uri": new_database(tmp_path)}))
    for of in MODELS.values():
        register(registry, tmp_path, feed, *of)
    registry.promote(feed.name, "1", feed)
    environment = {"PYTHONPATH": str(ROOT)}
    stream = Stream(tmp_path, feed, registry.tracking_uri, environment=environment, cwd=tmp_path)
    stream.landing.mkdir()
    try:
        for number, point in enumerate(points):
            for file in range(3 * number + 1, 3 * number + 4):
                stream.put(f"{file:03}.csv", spoiled(file).encode())
            # the interrupted batch is run again, and the one after the next is killed
            stream.start(fail_at=f"{point}:{stream.newest_batch + 2}", max_files=1)
            assert stream.wait() == -9, f"{point} was not reached:\n{stream.log()[-2000:]}"
            registry.promote(feed.name, str(1 + (number + 1) % 2), feed)
        stream.run(max_files=1)
    finally:
        stream.kill()
    forecasts = stream.table("forecasts")
    SeriesOracle(feed, MODELS).assert_exactly_once(stream.landed, forecasts, stream.table("quarantine"))
    assert set(forecasts.model_version) == {"1", "2"}
