"""What `streamscore doctor` looks at; starts no Spark.

check       what a check says
machine     Java, Python, packages, jars
model       registry, model version, contract
storage     object store, landing folder, tables, disk, clock
checkpoint  the checkpoint, and who streams with it
"""
