"""Which versions a Python worker keeps loaded."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.feed import Feed
from streamscore.registry.model_version import ModelVersion
from streamscore.spark import executors
from streamscore.spark.executors import Shipped


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What a worker loaded: archive and feed, in order."""
    done: list[tuple[str, str]] = []

    def load(path: Path, feed: Feed, identity: ModelVersion) -> Any:
        done.append((path.name, feed.name))
        return object()

    monkeypatch.setattr(executors, "load_model", load)
    monkeypatch.setattr(executors, "_loaded", {})
    monkeypatch.setattr("pyspark.SparkFiles.get", lambda name: name)
    return done


def shipped(archive: str, feed: Feed, others: int) -> Shipped:
    model: Any = SimpleNamespace(identity=ModelVersion("m", "1", "r"))
    return Shipped(archive, model, feed, others)


def test_a_stream_s_worker_keeps_one_version(loads: list[tuple[str, str]], small_feed: Feed) -> None:
    one, two = (shipped(name, small_feed, 0) for name in ("one", "two"))
    assert one.load() is one.load()
    for version in (two, one):
        version.load()
        assert len(executors._loaded) == 1
    assert [name for name, _ in loads] == ["one", "two", "one"]


def test_a_worker_of_several_udfs_keeps_the_four_used_last(loads: list[tuple[str, str]], small_feed: Feed) -> None:
    versions = [shipped(str(n), small_feed, 3) for n in range(5)]
    for n in (0, 1, 2, 3, 0, 4, 0, 2):
        versions[n].load()
    assert [name for name, _ in loads] == ["0", "1", "2", "3", "4"]
    assert len(executors._loaded) == 4


def test_a_version_is_loaded_for_each_feed_that_uses_it(loads: list[tuple[str, str]], small_feed: Feed) -> None:
    other = small_feed.model_copy(update={"name": "other"})
    shipped("m", small_feed, 3).load(), shipped("m", other, 3).load()
    assert loads == [("m", "small"), ("m", "other")]
