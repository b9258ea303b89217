"""Windows from a feed's table of forecasts."""

import asyncio
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from jobs.serving.models import feed_history
from jobs.serving.models.feed_history import FeedHistories, key_of
from jobs.serving.models.served_series import Asked, ServedSeries, forecast_ahead
from jobs.serving.requests.contract import series_inputs_of
from jobs.serving.requests.problems import RequestError
from schemas.settings import load_settings
from tests.support import series_kit
from tests.support.series_kit import Driver, feed_of, line


class Served:
    """A model of sensors as the routes see it."""

    def __init__(self, folder: Path) -> None:
        feed = feed_of()
        self.model = series_kit.load(series_kit.save_model(folder), feed)
        self.inputs = series_inputs_of({}, None, "sensors v1", feed)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedSeries:
    return cast("ServedSeries", Served(tmp_path_factory.mktemp("model")))


def test_the_newest_window_gives_the_forecasts_that_the_table_has(
    served: ServedSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = feed_of()
    monkeypatch.setattr(feed_history, "feed_names", lambda: ["sensors", "others"])
    monkeypatch.setattr(feed_history, "load_feed", lambda _: feed)
    histories = FeedHistories(load_settings(flags={"tables.path": str(tmp_path / "tables")}))

    def windows(key: Any = None, name: str = "sensors") -> Any:
        return asyncio.run(histories.windows(name, served, key))

    with pytest.raises(RequestError, match="no table of forecasts yet"):
        windows()
    driver = Driver(tmp_path, feed)
    for batch in range(2):  # the second one after the table was read
        rows = [line(sensor, 5 * batch + n, batch + n + 0.25, n) for n in range(5) for sensor in "ab"]
        driver.run(driver.land("".join(rows)), served.model)
        found = {one.key["sensor"]: one for one in forecast_ahead(Asked(windows(), 3), served.model, served.inputs)}
        table = driver.table("forecasts")
        assert sorted(found) == ["a", "b"]
        for sensor, one in found.items():
            last = table[
                (table.sensor == sensor) & (table.observation == table[table.sensor == sensor].observation.max())
            ]
            names = [field.name for field in served.model.output]
            np.testing.assert_array_equal(one.values.reshape(3, -1), last.sort_values("step")[names].to_numpy())
            assert (one.after, one.times) == (last["at"].iloc[0].to_pydatetime(), [None] * 3)
    (only,) = forecast_ahead(Asked(windows({"sensor": "b"}), 1), served.model, served.inputs)
    assert only.key == {"sensor": "b"}
    monkeypatch.setattr(feed_history, "load_feed", pytest.fail)  # a version has asked for it before
    assert windows({"sensor": "b"}).of
    with pytest.raises(RequestError, match="no observation of the series"):
        windows({"sensor": "c"})
    with pytest.raises(RequestError, match="no feed 'nobody'") as caught:
        windows(name="nobody")
    assert caught.value.status == 404


@pytest.mark.parametrize("given", [{}, {"sensor": "a", "x": 1}, {"at": "a"}])
def test_a_key_has_the_feeds_key_columns(given: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="wanted sensor"):
        key_of(given, feed_of())
