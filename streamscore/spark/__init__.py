"""All that needs pyspark, but for the landing source and the Spark writer.

before_start      what a JVM needs of this machine, looked at before
jvm               the JVM, in an environment of its own
jvm_error         why it did not come up, in one line
session           the Spark session
class_archive     the classes of its JVM as one file, made once
python_error      what was raised in a Python of Spark's
executors         `score()` on Spark's executors
routed_executors  the same for a routed feed
worker_daemon     what their Python workers are forked from
udf               a feed's model as a Spark UDF
"""
