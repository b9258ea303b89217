"""Both writers keep the same promises, and delta-spark reads what either of them wrote."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from chispa import assert_df_equality
from pyspark.sql import SparkSession

from jobs.maintenance.compact import Budget, compact
from schemas.errors import ConflictError
from streamscore.tables.batch import Batch
from streamscore.tables.commit import commit, committed
from streamscore.tables.housekeeping import append_batch_rows
from streamscore.tables.tables import Tables
from streamscore.tables.writers import writer_of
from tests.support.crash import Crash, crash_at
from tests.support.tables_kit import LANDED_AT, a_batch, keys, open_tables, parts_of, parts_writer, rows_of, scored

pytestmark = pytest.mark.spark

WRITERS = ["delta-rs", pytest.param("delta-spark", marks=pytest.mark.repeats)]


@pytest.fixture(params=WRITERS)
def reopen(request: pytest.FixtureRequest, spark: SparkSession, tmp_path: Path) -> Callable[[], "Driver"]:
    """Opens the tables of the test, and their writer, as a driver that just started."""
    return lambda: Driver(spark, open_tables(tmp_path, writer=request.param))


class Driver:
    def __init__(self, spark: SparkSession, tables: Tables) -> None:
        self.tables, self.writer = tables, writer_of(tables, spark)

    def put(self, batch: Batch, rows: int = 3, rejects: int = 0) -> Any:
        return commit(parts_of(self.tables, batch, rows, rejects), batch, self.tables, self.writer)

    def is_in(self, batch: Batch) -> Any:
        return committed(batch.batch_id, batch.app_id, batch.manifest.digest, self.tables)


def test_batches_with_rejects_an_empty_one_and_a_replay(reopen: Callable[[], "Driver"]) -> None:
    driver = reopen()
    driver.put(a_batch(0, "a.csv", "b.csv"), rows=3, rejects=1)
    driver.put(a_batch(1), rows=0)
    driver.put(a_batch(2), rows=2, rejects=0)
    again = reopen()
    assert all(again.is_in(batch) for batch in (a_batch(0, "a.csv", "b.csv"), a_batch(1), a_batch(2)))
    assert again.put(a_batch(2), rows=2).skipped and not again.is_in(a_batch(3))
    assert len(keys(again.tables, "predictions")) == 8 and len(keys(again.tables, "quarantine")) == 2
    assert append_batch_rows(again.tables) == 3
    counts = {
        row["batch_id"]: (row["predictions"], row["rejects"]) for row in rows_of(again.tables, "batches").to_pylist()
    }
    assert counts == {0: (6, 2), 1: (0, 0), 2: (2, 0)}


def test_a_batch_with_another_manifest_is_a_conflict(reopen: Callable[[], "Driver"]) -> None:
    driver = reopen()
    driver.put(a_batch(0, "a.csv"))
    with pytest.raises(ConflictError, match=r"micro-batch 0 of app"):
        driver.put(a_batch(0, "b.csv"))


@pytest.mark.parametrize("point", ["quarantine:after", "predictions:after"])
def test_a_crash_is_repaired_by_the_same_batch(
    reopen: Callable[[], "Driver"], monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    reopen().put(a_batch(0), rejects=1)
    crash_at(monkeypatch, point)
    with pytest.raises(Crash):
        reopen().put(a_batch(1), rejects=2)
    monkeypatch.undo()
    driver = reopen()
    assert driver.put(a_batch(1), rejects=2).skipped == (point == "predictions:after")
    assert len(keys(driver.tables, "predictions")) == 6 == len(set(keys(driver.tables, "predictions")))
    assert keys(driver.tables, "quarantine") == [("0.csv", 5), ("1.csv", 5), ("1.csv", 6)]


def test_rejects_of_an_earlier_try_go_where_the_replay_has_none(
    reopen: Callable[[], "Driver"], monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_at(monkeypatch, "quarantine:after")
    with pytest.raises(Crash):
        reopen().put(a_batch(0), rejects=2)
    monkeypatch.undo()
    driver = reopen()
    driver.put(a_batch(0), rejects=0)
    assert keys(driver.tables, "quarantine") == []


def test_a_driver_that_comes_second_commits_nothing(reopen: Callable[[], "Driver"]) -> None:
    slow = reopen()
    parts = parts_of(slow.tables, a_batch(0))
    slow.tables.predictions.transaction("app")
    writer = slow.writer

    class Overtaken:
        replace, clear = writer.replace, writer.clear

        def append(self, log: Any, *rest: Any) -> Any:
            fast = open_tables(Path(slow.tables.path))
            commit(parts_of(fast, a_batch(0)), a_batch(0), fast, writer_of(fast))
            return writer.append(log, *rest)

    with pytest.raises(ConflictError, match=r"micro-batch 0 of app was committed to .* by another driver"):
        commit(parts, a_batch(0), slow.tables, Overtaken())
    assert len(keys(slow.tables, "predictions")) == 3


def test_a_driver_that_was_taken_over_commits_nothing_more(reopen: Callable[[], "Driver"]) -> None:
    first, second = reopen(), reopen()
    first.tables.take_over("first", recover=False)
    first.put(a_batch(0, "a.csv", app_id="first"), rejects=1)
    writer, batch = first.writer, a_batch(1, "b.csv", app_id="first")

    class TakenOver:
        replace, clear = writer.replace, writer.clear

        def append(self, log: Any, *rest: Any) -> Any:
            if log is first.tables.predictions:
                second.tables.take_over("second", recover=True)
            return writer.append(log, *rest)

    with pytest.raises(ConflictError, match="taken over by checkpoint second"):
        commit(parts_of(first.tables, batch), batch, first.tables, TakenOver())
    second.put(a_batch(0, "b.csv", app_id="second"), rejects=1)
    assert len(keys(second.tables, "predictions")) == 6 and len(keys(second.tables, "quarantine")) == 2


def test_nothing_stays_staged(reopen: Callable[[], "Driver"], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    crash_at(monkeypatch, "predictions:before")
    with pytest.raises(Crash):
        reopen().put(a_batch(0), rejects=1)
    monkeypatch.undo()
    reopen().put(a_batch(0), rejects=1)
    assert list(tmp_path.glob("_staging/**/*.parquet")) == []


def test_delta_spark_reads_what_was_written(reopen: Callable[[], "Driver"], spark: SparkSession) -> None:
    driver = reopen()
    batch = a_batch(0, "a.csv")
    writer = parts_writer(driver.tables, batch)
    writer.add(*scored("a.csv", 2, 1, first_value=[-1.5, None], kind=["rosé", None], born_at=[LANDED_AT, None]))
    commit(writer.finish(), batch, driver.tables, driver.writer)
    found = spark.read.format("delta").load(driver.tables.uri("predictions"))
    wanted = spark.createDataFrame(
        [
            (-1.5, "rosé", LANDED_AT, 0.5, "wine", "3", "run-3", 0, "a.csv", 2, LANDED_AT),
            (None, None, None, 0.5, "wine", "3", "run-3", 0, "a.csv", 3, LANDED_AT),
        ],
        "first_value double, kind string, born_at timestamp, prediction double, model_name string,"
        "model_version string, model_run_id string, batch_id long, source_file string, source_line long,"
        "landed_at timestamp",
    )
    assert_df_equality(found.drop("predicted_at"), wanted, ignore_row_order=True, ignore_metadata=True)
    assert {f.name: f.metadata for f in found.schema.fields}["born_at"] == {"original_name": "bornAt"}
    assert spark.read.format("delta").load(driver.tables.uri("quarantine")).count() == 1


@pytest.mark.parametrize(
    "prediction",
    [
        pa.array([[1.0, 2.0], [3.0, 4.0]]),
        pa.array([{"a": 1.0, "b": "x"}, {"a": 2.0, "b": "y"}]),
        pa.array(["red", "white"]),
        pa.array([True, False]),
    ],
    ids=["array", "struct", "string", "boolean"],
)
def test_every_type_of_prediction_is_read_back(spark: SparkSession, tmp_path: Path, prediction: Any) -> None:
    tables = open_tables(tmp_path, prediction=prediction.type)
    driver = Driver(spark, tables)
    writer = parts_writer(tables, a_batch(0, "a.csv"))
    writer.add(*scored("a.csv", 2, prediction=prediction))
    commit(writer.finish(), a_batch(0, "a.csv"), tables, driver.writer)
    assert rows_of(tables, "predictions")["prediction"].to_pylist() == prediction.to_pylist()
    rows = spark.read.format("delta").load(tables.uri("predictions")).orderBy("source_line").collect()
    assert [row.asDict(recursive=True)["prediction"] for row in rows] == prediction.to_pylist()


def test_delta_spark_writes_a_struct(spark: SparkSession, tmp_path: Path) -> None:
    prediction = pa.array([{"a": 1.0, "xs": [1.0]}, {"a": 2.0, "xs": []}])
    driver = Driver(spark, open_tables(tmp_path, writer="delta-spark", prediction=prediction.type))
    writer = parts_writer(driver.tables, a_batch(0, "a.csv"))
    writer.add(*scored("a.csv", 2, prediction=prediction))
    commit(writer.finish(), a_batch(0, "a.csv"), driver.tables, driver.writer)
    assert rows_of(driver.tables, "predictions")["prediction"].to_pylist() == prediction.to_pylist()


def test_delta_spark_skips_files_by_our_statistics_and_misses_no_row(spark: SparkSession, tmp_path: Path) -> None:
    tables = open_tables(tmp_path)
    for number, values in enumerate([[-1.0, float("nan")], [5.0, 6.0], [None, None]]):
        writer = parts_writer(tables, a_batch(number, f"{number}.csv"))
        writer.add(*scored(f"{number}.csv", 2, first_value=values))
        commit(writer.finish(), a_batch(number, f"{number}.csv"), tables, writer_of(tables))
    frame = spark.read.format("delta").load(tables.uri("predictions"))
    assert frame.where("first_value > 5.5").count() == 2  # to Spark NaN is the largest number
    assert frame.where("isnan(first_value)").count() == 1
    assert frame.where("first_value is null").count() == 2
    assert frame.where("source_file = '1.csv'").count() == 2
    assert frame.where("landed_at = timestamp'2026-01-02T03:04:05.678901Z'").count() == 6


def test_history_shows_the_record_of_the_batch(reopen: Callable[[], "Driver"], spark: SparkSession) -> None:
    driver = reopen()
    driver.put(a_batch(0, "a.csv"), rejects=1)
    rows = spark.sql(f"DESCRIBE HISTORY delta.`{driver.tables.uri('predictions')}`").collect()
    newest = next(row for row in rows if row.version == 1)
    body = json.loads(newest.userMetadata)["streamscore"]
    assert (newest.operation, body["batch_id"], body["rows"], body["rejects"]) == ("WRITE", 0, 3, 1)


def test_optimize_by_delta_spark_between_two_batches(spark: SparkSession, tmp_path: Path) -> None:
    driver = Driver(spark, open_tables(tmp_path))
    for number in range(2):
        driver.put(a_batch(number), rejects=1)
    for table in ("predictions", "quarantine"):
        spark.sql(f"OPTIMIZE delta.`{driver.tables.uri(table)}`")
    driver.put(a_batch(2), rejects=1)
    assert driver.is_in(a_batch(2)) and driver.is_in(a_batch(0))
    assert len(keys(driver.tables, "predictions")) == 9 and len(keys(driver.tables, "quarantine")) == 3


def test_delta_spark_streams_each_row_of_our_commits_once(spark: SparkSession, tmp_path: Path) -> None:
    tables = open_tables(tmp_path)
    driver = Driver(spark, tables)
    for number in range(3):
        driver.put(a_batch(number))
    frame = spark.readStream.format("delta").load(tables.uri("predictions")).select("source_file", "source_line")
    query = frame.writeStream.format("memory").queryName("ours").option("checkpointLocation", str(tmp_path / "ck"))
    query.trigger(availableNow=True).start().awaitTermination()
    found = sorted((row.source_file, row.source_line) for row in spark.table("ours").collect())
    assert found == keys(tables, "predictions")


def test_who_follows_a_table_by_delta_spark_sees_no_row_again_after_compaction(
    spark: SparkSession, tmp_path: Path
) -> None:
    tables = open_tables(tmp_path)
    driver = Driver(spark, tables)

    def follow() -> list[Any]:
        frame = spark.readStream.format("delta").load(tables.uri("predictions")).select("source_file", "source_line")
        sink = frame.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "ck"))
        sink.trigger(availableNow=True).start(str(tmp_path / "copy")).awaitTermination()
        rows = spark.read.format("delta").load(str(tmp_path / "copy")).collect()
        return sorted((row.source_file, row.source_line) for row in rows)

    for number in range(5):
        driver.put(a_batch(number))
    assert follow() == keys(tables, "predictions")
    driver.put(a_batch(5))
    assert compact(tables.predictions, 2**26, Budget()) == 6
    driver.put(a_batch(6))
    tables.predictions.handle().create_checkpoint()
    assert follow() == keys(tables, "predictions") and len(keys(tables, "predictions")) == 21
    frame = spark.read.format("delta").load(tables.uri("predictions"))
    assert frame.where("source_file = '3.csv'").count() == 3 == frame.where("batch_id = 6").count()
    assert driver.is_in(a_batch(0))


def test_one_writer_goes_on_where_the_other_stopped(spark: SparkSession, tmp_path: Path) -> None:
    for number, name in enumerate(["delta-rs", "delta-spark", "delta-rs"]):
        driver = Driver(spark, open_tables(tmp_path, writer=name))
        driver.put(a_batch(number), rejects=1)
        assert all(driver.is_in(a_batch(i)) for i in range(number + 1))
    assert len(keys(driver.tables, "predictions")) == 9 and len(keys(driver.tables, "quarantine")) == 3
