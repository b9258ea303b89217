"""From data to a model version in the registry, in the order in which data flows.

fetch       the real data sets, with pinned checksums
sample      generated files, seeded
read        CSV and Parquet files as typed columns
data        what to train on, features and target
labels      labels that came late, joined with the predictions table
split       rows to fit on, rows held out
profiles    statistics of columns
infer       a feed proposed from a file's statistics
findings    what was found in data
values      the feed's rules for single values
shift       how far the values of a column have moved
validate    findings of both parts: values, constants, leaks, skew, drift
fit         a scikit-learn pipeline, the preparation of features part of it
evaluate    its errors on the held-out rows, beside a baseline's
register    one MLflow run and one model version
pipeline    the flow over these: `streamscore train`
"""
