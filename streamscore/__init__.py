"""The library under the stream, training and the service; starts nothing, prints nothing.

Each folder imports only from those above it.

storage      folders of this machine or of an object store, journals, the lease
landing      which files are new, and which of them make a micro-batch
registry     model versions in MLflow: resolved, verified, promoted
reading      CSV files in, typed rows and rejects out
models       a loaded version, and the watch for the next one
tables       parts in, one commit per table, exactly once
scoring      rows in, predictions out
forecasting  the same for series: observations in, the next steps out
spark        the session, the executors, the UDF
statistics   what columns look like, and how far one distribution is from another

failpoints   kills on demand, for the tests
logs         one JSON line for each log entry
"""
