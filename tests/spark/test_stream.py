"""The stream in a real Spark: dirty files, swaps, writers, parity with MLflow's own UDF."""

import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import psutil
import pytest
from chispa import assert_approx_df_equality, assert_df_equality
from deltalake import DeltaTable

from jobs.streaming.prepare import Prepared, StreamRun, open_run
from jobs.streaming.run import stream_until_stopped
from jobs.streaming.start import load_model
from schemas.errors import ContractError, RegistryError
from schemas.settings import load_settings
from tests.support.fixture_types import Trained
from tests.support.oracle import Oracle, Stream
from tests.support.present import present
from tests.support.wait import HANG_SECONDS, until
from tests.support.wine import HEADER, ROW

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


pytestmark = pytest.mark.spark

BOTH_MODES = pytest.mark.parametrize("mode", ["driver", "executors"])


@pytest.fixture
def run_of(stream: Stream, spark: "SparkSession", promote: Callable[[str], None]) -> Callable[..., StreamRun]:
    """A run of the stream inside the shared session."""

    def make(**flags: Any) -> StreamRun:
        folders = {
            "landing": str(stream.landing),
            "tables.path": str(stream.root / "tables"),
            "checkpoint": str(stream.checkpoint),
            "registry.tracking_uri": stream.registry_uri,
            "registry.poll_seconds": 0.2,
            "streaming.trigger": "available-now",
        }
        given = {key.replace("__", "."): value for key, value in flags.items()}
        return open_run(stream.feed, load_settings(flags=folders | given))

    return make


@contextmanager
def running(run: StreamRun, spark: "SparkSession") -> Iterator[None]:
    """The stream in a thread of its own."""
    thread = threading.Thread(target=stream_until_stopped, args=(run, spark))
    thread.start()
    try:
        yield
    finally:
        run.stop.ask()
        thread.join(HANG_SECONDS)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    ("mode", "writer"),
    [
        ("driver", "delta-rs"),
        pytest.param("driver", "delta-spark", marks=pytest.mark.repeats),
        pytest.param("executors", "delta-rs", marks=pytest.mark.repeats),
        pytest.param("executors", "delta-spark", marks=pytest.mark.repeats),
    ],
)
def test_dirty_files_end_as_predictions_or_in_quarantine(
    stream: Stream, oracle: Oracle, run_of: Callable[..., StreamRun], spark: "SparkSession", mode: str, writer: str
) -> None:
    stream.land(files=4, rows=50, seed=3)
    stream_until_stopped(run_of(streaming__mode=mode, tables__writer=writer, streaming__max_files=2), spark)
    oracle.assert_exactly_once(stream)
    history = spark.sql(f"DESCRIBE HISTORY delta.`{stream.root}/tables/predictions`")
    assert history.where("userMetadata LIKE '%streamscore%'").count() == 2


def test_driver_and_executors_and_both_writers_write_the_same_rows(
    stream: Stream, run_of: Callable[..., StreamRun], spark: "SparkSession"
) -> None:
    stream.land(files=3, rows=30, seed=4)
    ways = [("driver", "delta-rs"), ("executors", "delta-rs"), ("executors", "delta-spark")]
    for place, (mode, writer) in enumerate(ways):
        folders = {"tables__path": str(stream.root / f"t{place}"), "checkpoint": str(stream.root / f"c{place}")}
        stream_until_stopped(run_of(streaming__mode=mode, tables__writer=writer, **folders), spark)
    for table, own in (("predictions", ["predicted_at"]), ("quarantine", ["quarantined_at", "app_id"])):
        first, *others = (
            spark.read.format("delta").load(f"{stream.root}/t{place}/{table}").drop(*own) for place in range(3)
        )
        assert first.count() > 0
        for other in others:
            assert_df_equality(first, other, ignore_row_order=True, ignore_nullable=True, ignore_metadata=True)


def test_predictions_are_those_of_mlflows_own_udf_and_of_predict_udf(
    stream: Stream, run_of: Callable[..., StreamRun], spark: "SparkSession", trained: Trained
) -> None:
    from pyspark.sql.functions import col, struct

    from streamscore.spark.udf import predict_udf

    stream.land(files=2, rows=40, seed=5)
    stream_until_stopped(run_of(), spark)
    streamed = spark.read.format("delta").load(f"{stream.root}/tables/predictions")
    ours = predict_udf(spark, stream.feed, settings=load_settings(flags={"registry.tracking_uri": trained.uri}))
    assert_df_equality(
        streamed.select("source_line", "prediction"),
        streamed.select("source_line", ours(struct("*")).alias("prediction")),
        ignore_nullable=True,
        ignore_row_order=True,
    )
    with trained.registry.active() as mlflow:  # which puts MLflow's own address back for the tests after this one
        theirs = mlflow.pyfunc.spark_udf(spark, "models:/wine_quality/1", result_type="double", env_manager="local")
        by_name = struct(*[col(c.table_name).alias(c.name) for c in stream.feed.features])
        scored = streamed.withColumn("prediction", theirs(by_name)).orderBy("source_file", "source_line")
        assert_approx_df_equality(
            streamed.select("prediction").orderBy("source_file", "source_line"),
            scored.select("prediction"),
            1e-12,
            ignore_nullable=True,
        )


@BOTH_MODES
def test_a_promotion_is_used_within_seconds_and_a_bad_version_is_refused(
    stream: Stream,
    oracle: Oracle,
    run_of: Callable[..., StreamRun],
    spark: "SparkSession",
    trained: Trained,
    promote: Callable[[str], None],
    mode: str,
) -> None:
    run = run_of(streaming__mode=mode, streaming__trigger="0s")
    with running(run, spark):
        stream.land(files=1, rows=10, seed=1)
        until(lambda: set(stream.table("predictions").get("model_version", [])) == {"1"})
        promote("2")
        begun, seed = time.monotonic(), 10
        while "2" not in set(stream.table("predictions").model_version):
            assert time.monotonic() - begun < HANG_SECONDS
            stream.land(files=1, rows=5, seed=(seed := seed + 1))
            time.sleep(0.5)
        bad = _register(trained, pd.DataFrame({"pH": [3.0]}), np.array([1.0]))
        _point(trained, bad)
        refusals = "streamscore_model_refusals_total", {"feed": "wine_quality"}
        until(lambda: run.metrics.registry.get_sample_value(*refusals) == 1)
        stream.land(files=1, rows=10, seed=90)
        until(lambda: any(stream.table("predictions").source_file.str.startswith("sample-90")))
    assert set(stream.table("predictions").model_version) == {"1", "2"}
    oracle.assert_exactly_once(stream)
    events = stream.table("events")
    assert {"swapped", "refused"} <= set(events.kind)
    assert "does not fit feed" in events[events.kind == "refused"].detail.iloc[0]
    # after a restart the last accepted version goes on
    stream.land(files=1, rows=10, seed=91)
    stream_until_stopped(run_of(streaming__mode=mode), spark)
    assert set(stream.table("predictions").model_version) == {"1", "2"}
    oracle.assert_exactly_once(stream)


@pytest.mark.repeats
def test_a_stop_while_files_keep_landing_is_a_clean_one(stream: Stream, oracle: Oracle) -> None:
    stream.land(files=1, rows=5, seed=1)
    stream.start()
    stream.until(lambda: len(stream.table("predictions")) > 0)
    seeds, stopped = itertools.count(2), threading.Event()

    def land() -> None:
        while not stopped.wait(0.01):
            stream.land(files=1, rows=5, seed=next(seeds))

    thread = threading.Thread(target=land)
    thread.start()
    try:
        time.sleep(2)
        assert stream.process is not None
        stream.process.send_signal(signal.SIGTERM)
        code = stream.wait()
    finally:
        stopped.set()
        thread.join()
    assert code == 0, stream.log()[-3000:]
    assert "Traceback" not in stream.log()
    stream.run(max_files=1000)
    oracle.assert_exactly_once(stream)


def kill_the_jvm(stream: Stream) -> None:
    (jvm,) = (c for c in psutil.Process(present(stream.process).pid).children() if c.name() == "java")
    jvm.kill()


def signal_all(stream: Stream) -> None:
    """As systemd does."""
    os.killpg(present(stream.process).pid, signal.SIGTERM)


@pytest.mark.parametrize(
    ("end", "code"),
    [(kill_the_jvm, 5), pytest.param(signal_all, 0, marks=pytest.mark.repeats)],
    ids=["killed", "stopped"],
)
def test_the_end_of_the_jvm_is_told_unless_it_is_part_of_a_stop(
    stream: Stream, oracle: Oracle, end: Callable[[Stream], None], code: int
) -> None:
    stream.land(files=1, rows=5, seed=1)
    stream.start()
    stream.until_newer("commits", -1)
    end(stream)
    assert stream.wait() == code, stream.log()[-3000:]
    assert ("streamscore: Spark's JVM has ended, as when it is killed" in stream.log()) == (code == 5)
    oracle.assert_exactly_once(stream)


@pytest.mark.repeats
def test_a_source_that_comes_up_too_late_for_spark_is_started_again(stream: Stream, oracle: Oracle) -> None:
    late, code = stream.root / "late", stream.root / "code"
    code.mkdir()
    (code / "sitecustomize.py").write_text(
        f"import pathlib, sys, time\n"
        f"late = pathlib.Path({str(late)!r})\n"
        f"if 'pyspark.sql.streaming.python_streaming_source_runner' in sys.orig_argv and not late.exists():\n"
        f"    late.touch()\n"
        f"    time.sleep(15)\n"
    )
    stream.environment = {"PYTHONPATH": os.pathsep.join(filter(None, [str(code), os.environ.get("PYTHONPATH")]))}
    stream.land(files=1, rows=5, seed=1)
    stream.run()
    assert late.exists()
    oracle.assert_exactly_once(stream)


def test_a_version_with_another_output_type_is_refused(
    stream: Stream, run_of: Callable[..., StreamRun], spark: "SparkSession", trained: Trained, feed: Any
) -> None:
    stream.land(files=1, rows=10, seed=1)
    stream_until_stopped(run_of(), spark)
    inputs = pd.DataFrame({c.name: [1.0] for c in feed.features})
    _point(trained, _register(trained, inputs, np.array(["text"])))
    stream.land(files=1, rows=10, seed=2)
    stream_until_stopped(run_of(), spark)
    assert set(stream.table("predictions").model_version) == {"1"}
    assert "predictions table holds double" in stream.table("events").query("kind == 'refused'").detail.iloc[0]


def test_a_model_that_does_not_fit_stops_the_first_start(
    stream: Stream, run_of: Callable[..., StreamRun], spark: "SparkSession", trained: Trained
) -> None:
    _point(trained, _register(trained, pd.DataFrame({"pH": [3]}), np.array([1.0])))
    with pytest.raises(ContractError, match="'pH' is double in the feed and long in the model") as error:
        stream_until_stopped(run_of(), spark)
    assert error.value.exit_code == 3
    until(lambda: not spark.streams.active)


def test_what_a_failed_start_planned_is_decided_anew_by_the_next(
    stream: Stream,
    run_of: Callable[..., StreamRun],
    spark: "SparkSession",
    promote: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (stream.landing / "a.csv").write_text(HEADER + ROW)
    stream_until_stopped(run_of(), spark)
    (stream.landing / "b.csv").write_text(HEADER + ROW)
    (stream.landing / "c.csv").write_text(HEADER + ROW)

    def late(prepared: Prepared) -> Any:
        until(lambda: stream.newest_batch == 1)
        return load_model(prepared)

    with monkeypatch.context() as patched:
        patched.setattr("jobs.streaming.start.load_model", late)
        with pytest.raises(RegistryError, match="wine_quality/99"):
            stream_until_stopped(run_of(model_uri="models:/wine_quality/99"), spark)
    until(lambda: not spark.streams.active)
    (stream.landing / "b.csv").write_text(HEADER + ROW + ROW)
    (stream.landing / "c.csv").unlink()
    promote("2")
    stream_until_stopped(run_of(), spark)
    rows = stream.table("predictions")
    assert dict(rows.groupby("source_file").size()) == {"a.csv": 1, "b.csv": 2}
    assert dict(rows.groupby("source_file").model_version.first()) == {"a.csv": "1", "b.csv": "2"}
    assert not len(stream.table("quarantine"))
    assert not (stream.checkpoint / "starting").exists()


def test_the_offset_log_holds_the_manifest_in_its_third_line(
    stream: Stream, run_of: Callable[..., StreamRun], spark: "SparkSession"
) -> None:
    stream.land(files=1, rows=5, seed=1)
    stream_until_stopped(run_of(), spark)
    version, metadata, offset = (stream.checkpoint / "offsets" / "0").read_text().splitlines()
    assert version == "v1"
    assert "batchTimestampMs" in json.loads(metadata)
    assert [Path(f["path"]).name for f in json.loads(offset)["files"]] == ["sample-100-00001.csv"]


def test_a_changed_file_is_one_row_in_quarantine_and_never_predictions(
    stream: Stream, run_of: Callable[..., StreamRun], spark: "SparkSession"
) -> None:
    path = stream.landing / "a b%c é.csv"
    path.write_text(HEADER + ROW)
    stream_until_stopped(run_of(), spark)
    path.write_text(HEADER + ROW + ROW)
    stream_until_stopped(run_of(), spark)
    assert list(stream.table("predictions").source_file) == ["a b%c é.csv"]
    assert list(stream.table("quarantine").reason) == ["file_changed"]


def test_the_textbook_feed_of_strings_works(
    stream: Stream, run_of: Callable[..., StreamRun], spark: "SparkSession", trained: Trained
) -> None:
    from schemas.feed import load_feed
    from tests.support.register_kit import a_version

    feed = load_feed("wine_quality_text")
    a_version(feed, trained.registry, promote=True)
    stream.feed = feed
    (stream.landing / "t.csv").write_text(HEADER + ROW)
    stream_until_stopped(run_of(), spark)
    rows = stream.table("predictions")
    assert list(rows.residual_sugar) == ["20.7"]
    assert 0 < rows.prediction[0] < 10


def test_tables_keep_the_original_names_and_statistics(
    stream: Stream, run_of: Callable[..., StreamRun], spark: "SparkSession"
) -> None:
    stream.land(files=1, rows=50, seed=1)
    stream_until_stopped(run_of(), spark)
    table = DeltaTable(str(stream.root / "tables" / "predictions"))
    names = {f.name: f.metadata.get("original_name") for f in table.schema().fields}
    assert names["fixed_acidity"] == "fixed acidity"
    actions = table.get_add_actions(flatten=True)
    assert "min.alcohol" in actions.schema.names
    assert actions.column("num_records").to_pylist()[0] == len(stream.table("predictions"))


def _register(trained: Trained, inputs: pd.DataFrame, output: np.ndarray) -> str:
    """A version of wine_quality that another tool registered."""
    import mlflow
    from mlflow.models import infer_signature
    from sklearn.dummy import DummyClassifier, DummyRegressor

    dummy = DummyRegressor() if output.dtype.kind == "f" else DummyClassifier()
    with trained.registry.active(), mlflow.start_run(experiment_id=trained.registry.experiment("others")):
        made = mlflow.sklearn.log_model(
            dummy.fit(inputs, output),
            name="model",
            signature=infer_signature(inputs, output),
            registered_model_name="wine_quality",
            pip_requirements=[],
        )
        return str(made.registered_model_version)


def _point(trained: Trained, version: str) -> None:
    """Promote without asking anybody."""
    with trained.registry.active() as mlflow:
        mlflow.MlflowClient().set_registered_model_alias("wine_quality", "production", version)
