"""What `streamscore doctor` looks at; starts no Spark.

check       what a check says
machine     Java, Python, packages, jars
model       registry, model version, contract
storage     landing folder, tables, checkpoint, disk, clock
"""
