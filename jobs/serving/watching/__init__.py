"""What the service shows of itself while it runs.

metrics   Prometheus metrics of all workers
labels    the models that have series of their own, bounded
failures  a line in the log for a request that failed
"""
