"""The stream, in the order in which data flows.

manifest    which files a micro-batch is made of: the source's offset
landing     finding new, settled files in the landing folder
ledger      what was found, durably, beside the checkpoint
archive     what becomes of a file after its batch
find        from one manifest to the next
source      the Spark data source over it
read        CSV files in, typed rows and rejects out, by header name
validate    nulls, ranges, allowed values
model       a version of the registry, ready to predict
score       read → validate → predict: pure
parts       Parquet parts and their add-actions
commit      parts in, one commit per table, exactly once
follow      following the registry: swaps and refusals
query       the micro-batch, from offset to commit
udf         the same model for anyone's DataFrame
session     the Spark session
"""
