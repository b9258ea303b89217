"""The stream, in the order in which data flows; six folders, and what holds them together.

landing      which files are new, and which of them make a micro-batch
reading      CSV files in, typed rows and rejects out
scoring      rows in, predictions out, by the model that the registry names
forecasting  the same for series: observations in, the next steps out
writing      parts in, one commit per table, exactly once
storage      folders of this machine or of an object store, journals, the lease

query          the micro-batch, from offset to commit
checkpoint     who a stream is, beside Spark's own checkpoint files
trigger        when a micro-batch starts
session        the Spark session
class_archive  the classes of its JVM as one file, made once
progress       log lines, metrics, progress bar
failpoints     kills on demand, for the tests
"""
