"""The job itself: from the start of a run to its clean stop.

launch        the JVM comes up while Python imports; what the command calls
run           the run: prepare, start the query, serve until it is stopped
prepare       folders, tables and checkpoint, held against each other
checkpoint    who a stream is, beside Spark's own checkpoint files
start         the query begins while the model loads
source        the landing folder as a streaming DataFrame
trigger       when a micro-batch starts
serve         from a query that has begun to its clean stop
micro_batch   the micro-batch, from offset to commit
routed        the same for a feed whose rows are scored by many models
score_batch   where it is scored: early, in the driver, or on executors
early         the early thread: scores while Spark still writes down the micro-batch
early_commit  and commits as soon as Spark has written it down
report        what is told of a micro-batch, or of an event
progress      metrics, progress bar
stop          whether a run is to end
query_error   what ended a query, in one line
"""
