"""Rows in, predictions out.

predict   one call a chunk, and a search for the rows that break it
score     read → validate → predict: pure
to_parts  the files of a batch into parts, wherever that happens
"""
