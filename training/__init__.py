"""From raw data to a model version that has earned Production, in the order in which data flow.

settings          which estimator, how it is tuned, split and judged: `conf/training/*.yaml`
fetch             the real data sets, with pinned checksums
generate          random rows of a feed
spoil             bad rows among them
sample            generated files, seeded
read              CSV and Parquet, a file or a folder of them, typed as the feed says
infer             a feed proposed from data
data              features, target and the columns that go with them
labels            the same out of a predictions table and labels that came late
split             rows to fit on, rows held out
profiles          statistics of columns, and what they tell
shift             how far one distribution is from another
findings          what is wrong or odd in data
values            each value against the feed's rules
validate          data against the feed, held-out rows, and the data of the Production model
estimators        what the settings name, from an allow-list
space             what parameters a search may choose
tune              a resumable search for parameters, by cross-validation
fit               a scikit-learn pipeline, the preparation of features part of it
model             how it is logged: a number per row, or a label and the probability of each
classifier_model  the code of a registered classifier
metrics           answers against the truth, for any weights of the rows
evaluate          how good a model is on the held-out rows: overall, by slice, with intervals, beside a baseline
production        the model in Production, which a candidate is held against
gate              whether a candidate is good enough
plots             what the evaluation shows, as SVG
report            all of it on one page
tabular           the steps from rows to a judged candidate
series            the steps from a multivariate series to one
register          one MLflow run and one model version
check             that version in a fresh process, and through the stream
pipeline          the flow over these: `streamscore train`
show              what that prints
"""
