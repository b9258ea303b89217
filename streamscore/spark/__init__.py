"""All that needs pyspark, but for the landing source and the Spark writer.

session        the Spark session
class_archive  the classes of its JVM as one file, made once
executors      `score()` on Spark's executors
worker_daemon  what their Python workers are forked from
udf            a feed's model as a Spark UDF
"""
