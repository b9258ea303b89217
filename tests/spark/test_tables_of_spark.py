"""Tables that Spark changed or made: refused before a commit, or written so that Spark reads and writes on."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.maintenance.compact import Budget, compact
from schemas.errors import ContractError
from streamscore.tables.commit import commit
from streamscore.tables.tables import Tables
from streamscore.tables.writers import writer_of
from tests.support.log_kit import newest
from tests.support.tables_kit import a_batch, keys, open_tables, parts_of

pytestmark = pytest.mark.spark

COLUMNS = [
    "first_value double",
    "kind string",
    "born_at timestamp",
    "prediction double",
    "model_name string",
    "model_version string",
    "model_run_id string",
    "batch_id long",
    "source_file string",
    "source_line long",
    "landed_at timestamp",
    "predicted_at timestamp",
]

# What ALTER TABLE does to a table of a running stream, and what the error says.
CHANGED = {
    "SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')": "column ?[mM]apping",
    "ADD CONSTRAINT small CHECK (prediction < 1)": "the constraint small",
    "SET TBLPROPERTIES ('delta.enableRowTracking' = 'true')": "rowTracking",
    "SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')": "deletionVectors",
    "SET TBLPROPERTIES ('delta.enableInCommitTimestamps' = 'true')": "inCommitTimestamp",
}

# What CREATE TABLE has beside our columns, or in the place of one.
MADE = {
    "kind string NOT NULL) USING delta": "'kind' as NOT NULL",
    "day date GENERATED ALWAYS AS (CAST(landed_at AS date))) USING delta": "generated",
    "number bigint GENERATED ALWAYS AS IDENTITY) USING delta": "(identity|writers)",
    "day date) USING delta PARTITIONED BY (day)": "partitioned by day",
}


def put(tables: Tables, number: int) -> None:
    batch = a_batch(number)
    commit(parts_of(tables, batch, 3, 1), batch, tables, writer_of(tables))


def test_what_spark_changes_under_a_stream_is_refused_before_a_commit(spark: SparkSession, tmp_path: Path) -> None:
    for number, (change, said) in enumerate(CHANGED.items()):
        tables = open_tables(tmp_path / str(number))
        put(tables, 0)
        table = tables.uri("predictions")
        spark.sql(f"ALTER TABLE delta.`{table}` {change}")
        last = newest(table)
        with pytest.raises(ContractError, match=said):
            put(tables, 1)
        with pytest.raises(ContractError, match=said):
            open_tables(tmp_path / str(number))
        assert newest(table) == last
        spark.sql(f"INSERT INTO delta.`{table}` SELECT * FROM delta.`{table}` LIMIT 1")
        assert spark.read.format("delta").load(table).where("prediction IS NOT NULL").count() == 4


def test_what_spark_makes_with_rules_is_refused_at_the_start(spark: SparkSession, tmp_path: Path) -> None:
    for number, (more, said) in enumerate(MADE.items()):
        table = tmp_path / str(number) / "predictions"
        columns = [column for column in COLUMNS if not more.startswith(column.split()[0] + " ")]
        spark.sql(f"CREATE TABLE delta.`{table}` ({', '.join([*columns, more])}")
        with pytest.raises(ContractError, match=said):
            open_tables(tmp_path / str(number))
        assert newest(table) == 0


def test_what_asks_nothing_of_an_append_is_written_beside_spark(spark: SparkSession, tmp_path: Path) -> None:
    tables, table = open_tables(tmp_path), str(tmp_path / "predictions")
    tables.take_over("app", recover=False)
    put(tables, 0)
    spark.sql(f"ALTER TABLE delta.`{table}` SET TBLPROPERTIES ('delta.appendOnly' = 'true')")
    spark.sql(f"ALTER TABLE delta.`{table}` SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")
    spark.sql(f"ALTER TABLE delta.`{table}` ADD COLUMN note string")
    first = newest(table) + 1
    for number in range(1, 5):
        put(tables, number)
    assert compact(tables.reopen().predictions, 2**20, Budget()) == 5
    spark.sql(f"INSERT INTO delta.`{table}` (kind, note) VALUES ('theirs', 'x')")
    put(tables, 5)
    read = spark.read.format("delta").load(table)
    assert read.where("prediction IS NOT NULL").count() == 18 and read.where("note = 'x'").count() == 1
    changes = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", first).load(table)
    assert changes.groupBy("_change_type").count().collect() == [("insert", 16)]
    assert len(set(keys(tables, "quarantine"))) == 6


def test_who_follows_a_table_goes_on_after_each_start_of_the_stream(spark: SparkSession, tmp_path: Path) -> None:
    counts = []
    for number in range(2):
        tables = open_tables(tmp_path / "tables")
        tables.take_over("app", recover=False)
        put(tables, number)
        rows = spark.readStream.format("delta").load(tables.uri("predictions"))
        writer = rows.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "follower"))
        writer.trigger(availableNow=True).start(str(tmp_path / "copy")).awaitTermination()
        counts.append(spark.read.format("delta").load(str(tmp_path / "copy")).count())
    assert counts == [3, 6]
