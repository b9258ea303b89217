"""From raw data to a model version that has earned Production, in the order in which data flow.

settings      which estimator, how it is tuned, split and judged: `conf/training/*.yaml`
suits         whether they are for this kind of feed
data          data sets, generated or read; features, target, rows to fit on and rows held out
validation    data against the feed, held-out rows, and the data of the Production model
fitting       estimators, the search for parameters, the pipeline, and how it is logged
evaluation    how good a model is, the gate, the report
rows          the steps from rows to a judged candidate
rows_report   what is kept of it: statistics, findings, evaluation, one page
series        the steps from a multivariate series to one
registration  one MLflow run and one model version, checked in a fresh process
pipeline      the flow over these: `streamscore train`
show          what that prints
"""
