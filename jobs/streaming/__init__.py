"""The job itself: from the start of a run to its clean stop.

launch       the JVM comes up while Python imports; what the command calls
run          everything set up, the query started, and a clean stop
micro_batch  the micro-batch, from offset to commit
early        the same while Spark still writes down the micro-batch
checkpoint   who a stream is, beside Spark's own checkpoint files
trigger      when a micro-batch starts
progress     metrics, progress bar
"""
