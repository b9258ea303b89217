"""From data to a model version in the registry, in the order in which data flows.

fetch       the real data sets, with pinned checksums
sample      generated files, seeded
data        a CSV file in, typed features and target out
split       rows to fit on, rows held out
fit         a scikit-learn pipeline, the preparation of features part of it
evaluate    its errors on the held-out rows, beside a baseline's
gate        whether it is good enough, against limits, a baseline and the Production model
model       a fitted pipeline as an MLflow model
register    one MLflow run and one model version
check       that version in a fresh process, and through the stream
pipeline    the flow over these: `streamscore train`
"""
