"""A routed feed in a real Spark: each row by the model of its key, in the driver and on executors."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jobs.streaming.prepare import StreamRun, open_run
from jobs.streaming.run import stream_until_stopped
from schemas.settings import load_settings
from streamscore.registry.registry import Registry
from tests.support.oracle import Stream
from tests.support.register_kit import registry_in
from tests.support.routed_kit import assert_exactly_once, feed_of, register, text_of, write_routes

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

FEED = feed_of()
WEIGHTS = {("alpha", "1"): 10.0, ("alpha", "2"): 20.0, ("beta", "1"): 30.0}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """alpha with two versions, the first in Production; beta; and gamma, which wants an input that the feed lacks."""
    folder = tmp_path_factory.mktemp("routed")
    made = registry_in(folder)
    for (name, _), weight in WEIGHTS.items():
        register(made, folder, name, weight)
    register(made, folder, "gamma", 40.0, inputs=("a", "c"))
    for name in ("alpha", "beta"):
        made.promote(name, "1", FEED)
    with made.active() as mlflow:
        mlflow.MlflowClient().set_registered_model_alias("gamma", "production", "1")
    return made


@pytest.fixture
def run_of(tmp_path: Path, registry: Registry) -> Callable[..., StreamRun]:
    def make(**flags: Any) -> StreamRun:
        settings = {
            "landing": str(tmp_path / "landing"),
            "tables.path": str(tmp_path / "tables"),
            "checkpoint": str(tmp_path / "checkpoint"),
            "registry.tracking_uri": registry.tracking_uri,
            "registry.poll_seconds": 0.2,
            "routing.routes": str(tmp_path / "routes.yaml"),
            "routing.poll_seconds": 0.2,
            "streaming.trigger": "available-now",
        }
        given = {key.replace("__", "."): value for key, value in flags.items()}
        return open_run(FEED, load_settings(flags=settings | given))

    return make


@pytest.mark.parametrize("mode", ["driver", pytest.param("executors", marks=pytest.mark.repeats)])
def test_each_row_is_scored_by_the_model_of_its_key(
    tmp_path: Path, run_of: Callable[..., StreamRun], spark: "SparkSession", mode: str
) -> None:
    tried = {"model": "beta", "shadow": {"model": "models:/alpha/2"}}
    keys = {"ann": "alpha", "bob": tried, "eve": None, "cid": "gamma", "dan": "delta"}
    write_routes(tmp_path / "routes.yaml", {"keys": keys, "patterns": {"eu-*": "models:/alpha/2"}})
    stream = Stream(tmp_path, FEED, "")
    stream.landing.mkdir()
    customers = ["ann", "bob", "eu-1", "eve", "cid", "dan", "zoe", "", "ann"]
    rows = [(customer, float(n), 0.5) for n, customer in enumerate(customers * 20)]
    stream.put("1.csv", text_of([*rows, ("ann", 666.0, 1.0)]))
    stream.put("2.csv", text_of(rows[:7]))
    stream_until_stopped(run_of(streaming__mode=mode, streaming__chunk_rows=50, routing__max_models=2), spark)
    predictions, quarantine = stream.table("predictions"), stream.table("quarantine")
    assert_exactly_once(stream.landed, predictions, quarantine, WEIGHTS)
    scored_by = predictions[["customer", "model_name", "model_version"]].drop_duplicates()
    assert set(scored_by.itertuples(index=False, name=None)) == {
        ("ann", "alpha", "1"),
        ("bob", "beta", "1"),
        ("eu-1", "alpha", "2"),
    }
    for _, of_file in predictions.groupby("source_file"):
        assert list(of_file.source_line) == sorted(of_file.source_line)
    why = quarantine.groupby("detail").reason.agg(["first", "size"])
    for text, reason, count in (
        ("found no value, wanted a key", "no_model", 20),
        ("found 'eve', which may use no model", "no_model", 21),
        ("found 'zoe', which has no route", "no_model", 21),
        ("found 'cid', whose route is models:/gamma@production: model gamma v1 does not fit feed", "no_model", 21),
        ("found 'dan', whose route is models:/delta@production: no models:/delta@production in", "no_model", 21),
        ("ValueError: 666", "model_error", 1),
    ):
        assert why[why.index.str.startswith(text)].to_numpy().tolist() == [[reason, count]], text
    shadows = stream.table("shadows").merge(predictions, on=["source_file", "source_line"])
    assert (shadows.customer == "bob").all() and len(shadows) == 21
    assert list(shadows.candidate_prediction) == list(20.0 * shadows.a + shadows.b)
    assert set(quarantine[quarantine.reason == "model_error"].model_version) == {"1"}
    assert quarantine[quarantine.reason == "no_model"].model_version.isna().all()
