"""Observations in, the next steps of their series out; what came before is read from the forecasts table.

history   the newest observations of each series, as the table has them
windows   which observations one series takes, and the windows that end with them: pure
forecast  which observations are taken, and what follows each: pure
score     the files in, forecasts and rejects out: pure
to_parts  the files of a micro-batch into parts, the history carried on from commit to commit
"""
