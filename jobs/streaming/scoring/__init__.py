"""Rows in, predictions out, by the model that the registry names.

follow      the registry's word: swaps between micro-batches, refusals
model       a version, ready to predict
load        that, or a series feed's, ready to forecast
predict     one call a chunk, and a search for the rows that break it
score       read → validate → predict: pure
work        the files of a batch into parts, wherever that happens
ahead       the same while Spark still writes down the micro-batch
executors   the same on Spark's executors
worker_daemon  what their Python workers are forked from
"""
