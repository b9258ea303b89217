"""From data to a model version in the registry, in the order in which data flows.

fetch       the real data sets, with pinned checksums
sample      generated files, seeded
data        a CSV file in, typed features and target out
split       rows to fit on, rows held out
estimators  what the settings name, from an allow-list
space       what parameters a search may choose
tune        a resumable search for parameters, by cross-validation
fit         a scikit-learn pipeline, the preparation of features part of it
model       how it is logged: a number per row, or a label and the probability of each
classifier_model  the code of a registered classifier
metrics     answers against the truth, for any weights of the rows
evaluate    how good a model is on the held-out rows: overall, by slice, with intervals, beside a baseline
plots       what the evaluation shows, as SVG
register    one MLflow run and one model version
pipeline    the flow over these: `streamscore train`
"""
