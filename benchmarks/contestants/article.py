"""The textbook: `readStream.csv` → `mlflow.pyfunc.spark_udf` over a struct of all columns → Delta sink; defaults."""

import os
import sys

import mlflow
from pyspark.sql import SparkSession
from pyspark.sql.functions import col, struct

from jobs.streaming.session import DELTA, project_jars
from schemas.feed import load_feed

landing, tables, model_uri = sys.argv[1:4]
os.environ["PYSPARK_PYTHON"] = sys.executable
feed = load_feed("wine_quality")
builder = SparkSession.builder.config("spark.jars", ",".join(map(str, project_jars()))).config(
    "spark.ui.enabled", "false"
)
for key, value in DELTA.items():
    builder = builder.config(key, value)
spark = builder.getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
predict = mlflow.pyfunc.spark_udf(spark, model_uri, result_type="double")
schema = ", ".join(f"`{c.name}` {c.type}" for c in feed.columns)
rows = spark.readStream.format("csv").option("header", True).option("enforceSchema", True).schema(schema).load(landing)
predicted = rows.withColumn("prediction", predict(struct(*[col(f"`{c.name}`") for c in feed.features])))
legal = predicted.select(*[col(f"`{c.name}`").alias(c.table_name) for c in feed.columns], "prediction")
sink = legal.writeStream.format("delta").option("checkpointLocation", f"{tables}/_checkpoint")
print("started", flush=True)
sink.start(f"{tables}/predictions").awaitTermination()
