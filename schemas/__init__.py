"""What every part of streamscore agrees on; imports neither `jobs` nor `training`.

errors      the one error tree, with exit codes and HTTP statuses
reasons     the reason codes of the quarantine
feed        what a CSV file of a feed looks like; `schemas/<feed>.yaml`
settings    flag > environment > profile > default
signature   the contract between a feed and a model's signature
tables      the columns of predictions, quarantine, batches and events
object_store  one settings block for boto3, Arrow, delta-rs, MLflow and Spark
model_uri   model URIs and the version that each stands for
manifest    SHA-256 of a version's files, in the registry's tags
safety      which models may be loaded, by their MLmodel file alone
mlflow_server  MLflow itself: imported late, quiet, giving up in bounded time
requirements  what a model was made with, against what runs here
connection  the way to MLflow: one registry, one tracking store, every error in one line
history     who put which version into Production when, and the way back
origin      what a version was made of, in its tags
registry    model versions in MLflow: resolve, promote, list
"""
