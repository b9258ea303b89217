"""The textbook: `readStream.csv` → `mlflow.pyfunc.spark_udf` over a struct of all columns → Delta sink; defaults."""

import json
import os
import sys
from collections.abc import Mapping, Sequence

import mlflow
from pyspark.sql import SparkSession
from pyspark.sql.functions import col, struct

from schemas.feed import load_feed
from streamscore.spark.session import DELTA, project_jars

# set for an object store only: how Hadoop reaches it, as JSON, and where landing folder and tables are in it
STORE, PREFIX = "BENCH_HADOOP", "BENCH_PREFIX"


def stream(arguments: Sequence[str], settings: Mapping[str, str]) -> None:
    """Until it is killed.

    Args:
        arguments: LANDING TABLES MODEL_URI MAX_FILES.
        settings: of Spark, beside its defaults.
    """
    landing, tables, model_uri, max_files = *arguments[:3], int(arguments[3])
    feed = load_feed("wine_quality")
    if prefix := os.environ.get(PREFIX):
        landing, tables = f"{prefix}/{landing}", f"{prefix}/{tables}"
    spark = session(settings)
    predict = mlflow.pyfunc.spark_udf(spark, model_uri, result_type="double")
    schema = ", ".join(f"`{c.name}` {c.type}" for c in feed.columns)
    reader = spark.readStream.format("csv").option("header", True).option("enforceSchema", True).schema(schema)
    rows = (reader.option("maxFilesPerTrigger", max_files) if max_files else reader).load(landing)
    predicted = rows.withColumn("prediction", predict(struct(*[col(f"`{c.name}`") for c in feed.features])))
    legal = predicted.select(*[col(f"`{c.name}`").alias(c.table_name) for c in feed.columns], "prediction")
    sink = legal.writeStream.format("delta").option("checkpointLocation", "checkpoint")
    query = sink.start(f"{tables}/predictions")
    print("started", flush=True)
    query.awaitTermination()


def session(settings: Mapping[str, str]) -> SparkSession:
    """With Delta; its user interface is off, which the textbook would leave on."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    store = json.loads(os.environ.get(STORE, "{}"))
    jars = ":".join(map(str, project_jars(with_store=bool(store))))
    builder = SparkSession.builder.config("spark.driver.extraClassPath", jars).config("spark.ui.enabled", "false")
    # not a matter of speed: a JVM that was stopped for two minutes would take its own executor for lost
    patient = {"spark.network.timeout": "36000s"}
    for key, value in (DELTA | store | patient | dict(settings)).items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


if __name__ == "__main__":
    stream(sys.argv[1:], {})
