"""A routed feed: its rows are scored by many models, as the routes say.

records        from which micro-batch on which routes and versions score, in the checkpoint
snapshot       the routes and the versions at one moment, and the model of a row by them
load           a version on its way into memory
models         the versions of all routes, followed in the registry
open           them, by the settings of a run
cache_metrics  how much is in memory, and how often it is not
shadows        candidates that are asked beside
score          the micro-batches of a routed feed: early, in the driver, or on executors
"""
