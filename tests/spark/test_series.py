"""Series feeds in a real Spark: restarts, swaps, recovery, both writers."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jobs.streaming.prepare import open_run
from jobs.streaming.run import stream_until_stopped
from schemas.errors import ContractError
from schemas.feed import Feed, load_feed
from schemas.settings import Settings, load_settings
from streamscore.registry.registry import Registry, open_registry
from tests.support.new_database import new_database
from tests.support.oracle import Stream
from tests.support.series_kit import SeriesOracle, feed_of, register, spoiled

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

MODELS = {"1": (3, 1.0), "2": (5, 0.5)}
FEED = feed_of()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """The versions of MODELS."""
    folder = tmp_path_factory.mktemp("registry")
    made = open_registry(load_settings(flags={"registry.tracking_uri": new_database(folder)}))
    for of in MODELS.values():
        register(made, folder, FEED, *of)
    return made


@pytest.fixture
def stream(tmp_path: Path, registry: Registry) -> Stream:
    registry.promote(FEED.name, "1", FEED)
    made = Stream(tmp_path, FEED, registry.tracking_uri)
    made.landing.mkdir()
    return made


@pytest.fixture
def settings_of(stream: Stream) -> Callable[..., Settings]:
    def make(**flags: Any) -> Settings:
        folders = {
            "landing": str(stream.landing),
            "tables.path": str(stream.root / "tables"),
            "checkpoint": str(stream.checkpoint),
            "registry.tracking_uri": stream.registry_uri,
            "streaming.trigger": "available-now",
            "streaming.max_files": 2,
        }
        return load_settings(flags=folders | {key.replace("__", "."): value for key, value in flags.items()})

    return make


@pytest.fixture
def run(settings_of: Callable[..., Settings], spark: "SparkSession") -> Callable[..., None]:
    """Catch up, in the shared session."""

    def catch_up(feed: Feed = FEED, *, recover: bool = False, **flags: Any) -> None:
        stream_until_stopped(open_run(feed, settings_of(**flags)), spark, recover=recover)

    return catch_up


def land(stream: Stream, *numbers: int) -> None:
    for number in numbers:
        stream.put(f"{number:03}.csv", spoiled(number).encode())


def assert_exactly_once(stream: Stream) -> None:
    SeriesOracle(FEED, MODELS).assert_exactly_once(stream.landed, stream.table("forecasts"), stream.table("quarantine"))


def test_a_restart_a_swap_and_a_lost_checkpoint_go_on_with_the_last_observations(
    stream: Stream, run: Callable[..., None], registry: Registry
) -> None:
    land(stream, 1, 2, 3)
    run()
    assert_exactly_once(stream)
    registry.promote(FEED.name, "2", FEED)
    land(stream, 4, 5)
    run()
    assert_exactly_once(stream)
    stream.checkpoint.rename(stream.root / "lost")
    land(stream, 6)
    run(recover=True)
    assert_exactly_once(stream)
    assert set(stream.table("forecasts").model_version) == {"1", "2"}
    assert stream.table("batches")[["predictions", "rejects"]].sum().to_list() == [6 * 11, 6 * 2]


def test_files_go_by_their_time_across_micro_batches_and_one_that_lands_after_a_newer_one_is_late(
    stream: Stream, run: Callable[..., None]
) -> None:
    for number, name in ((1, "d"), (2, "b"), (4, "a"), (5, "c")):
        stream.put(f"{name}.csv", spoiled(number).encode())
        os.utime(stream.landing / f"{name}.csv", (1_800_000_000 + number, 1_800_000_000 + number))
    run(streaming__max_files=1)
    assert_exactly_once(stream)
    of_files = stream.table("forecasts").groupby("source_file").batch_id.unique()
    assert {name: list(batches) for name, batches in of_files.items()} == {
        "d.csv": [0],
        "b.csv": [1],
        "a.csv": [2],
        "c.csv": [3],
    }
    stream.put("e.csv", spoiled(3).encode())
    os.utime(stream.landing / "e.csv", (1_800_000_003, 1_800_000_003))
    run()
    assert_exactly_once(stream)
    late = stream.table("quarantine").query("source_file == 'e.csv'")
    assert (len(late), set(late.reason)) == (13, {"late"})


def test_spark_commits_forecasts_too(stream: Stream, run: Callable[..., None]) -> None:
    land(stream, 1, 2, 3)
    run(tables__writer="delta-spark")
    assert_exactly_once(stream)


def test_a_model_of_the_other_kind_stops_the_first_start(stream: Stream, run: Callable[..., None]) -> None:
    wine = load_feed("wine_quality").model_dump(mode="json", exclude_unset=True)
    with pytest.raises(ContractError, match="is of kind 'series', feed sensors is of kind 'rows'"):
        run(Feed.model_validate(wine | {"name": "sensors", "model": ""}))


def test_only_a_model_that_fits_is_promoted(registry: Registry) -> None:
    rows = load_feed("wine_quality")
    with pytest.raises(ContractError, match="is of kind 'series', feed wine_quality is of kind 'rows'"):
        registry.promote(FEED.name, "2", rows)
    assert registry.promote(FEED.name, "2", FEED).version == "2"
