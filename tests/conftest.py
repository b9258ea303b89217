"""One Spark session and one trained model for the whole test run."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from oracle import Oracle, Stream

from schemas.feed import Feed, load_feed
from schemas.registry import Registry, open_registry
from schemas.settings import load_settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=20, help="random kills -9 in `make faults`")


@pytest.fixture(scope="session", autouse=True)
def _own_settings() -> None:
    """No setting of the machine reaches the tests."""
    for name in [name for name in os.environ if name.startswith(("STREAMSCORE_", "MLFLOW_"))]:
        del os.environ[name]


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[SparkSession]":
    """A session as a run starts it, with Delta for reading what it wrote."""
    from jobs.streaming.session import start_session

    warehouse = str(tmp_path_factory.mktemp("warehouse"))
    conf = {"spark.sql.warehouse.dir": warehouse, "spark.sql.streaming.stopTimeout": "20s"}
    settings = load_settings(flags={"tables.writer": "delta-spark", "spark.master": "local[2]", "spark.conf": conf})
    session = start_session(settings, "tests")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def feed() -> Feed:
    return load_feed("wine_quality")


@dataclass(frozen=True)
class Trained:
    """A registry with three versions of wine_quality that predict differently; version 1 is in Production."""

    uri: str
    registry: Registry


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, feed: Feed) -> Trained:
    from training.fit import Parameters
    from training.pipeline import train

    folder: Path = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{folder}/mlflow.db"
    registry = open_registry(load_settings(flags={"registry.tracking_uri": uri}))
    for alpha in (0.01, 0.1, 0.3):
        train(feed, None, registry, promote=alpha == 0.01, parameters=Parameters(alpha=alpha))
    return Trained(uri, registry)


@pytest.fixture
def stream(tmp_path: Path, feed: Feed, trained: Trained) -> Iterator[Stream]:
    made = Stream(tmp_path, feed, trained.uri)
    made.landing.mkdir()
    yield made
    made.kill()


@pytest.fixture(scope="session")
def oracle(feed: Feed, trained: Trained) -> Oracle:
    return Oracle(feed, trained.registry)


@pytest.fixture
def promote(trained: Trained, feed: Feed) -> Callable[[str], None]:
    """Put a version of wine_quality into Production."""

    def into_production(version: str) -> None:
        trained.registry.promote(feed.name, version, feed)

    into_production("1")
    return into_production
