"""Rows in, predictions out.

ask       one call for all rows, and a search for those that break the model
predict   the rows' predictions, and the reasons why not
score     read → validate → predict: pure
routed    the same of a feed whose rows are scored by many models
to_parts  the files of a batch into parts, wherever that happens
"""
