"""What is wrong with a machine or a stream, and one fix for each.

result      what one look found
machine     Java, Spark, versions, memory
storage     landing, tables and object store
model       registry, Production version, contract
checkpoint  the checkpoint, its ledger and lease
service     the online service
doctor      all of it, as `streamscore doctor` shows it
"""
