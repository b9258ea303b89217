"""The servers of profile `minio` on loopback, without Docker: `make services`, tests and benchmarks start them.

programs       where they are, and what is missing
server         a process that is started, awaited and stopped
object_store   MinIO or versitygw
mlflow_server  MLflow's server, and the PostgreSQL under it
start          all of them together
"""
