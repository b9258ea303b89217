"""From data to a model version in the registry, in the order in which data flows.

fetch       the real data sets, with pinned checksums
sample      generated files, seeded
data        a CSV file in, typed features and target out
split       rows to fit on, rows held out
fit         a scikit-learn pipeline, the preparation of features part of it
evaluate    its errors on the held-out rows, beside a baseline's
register    one MLflow run and one model version
pipeline    the flow over these: `streamscore train`
series      the same for feeds of `kind: series`: VAR and VARMAX
"""
