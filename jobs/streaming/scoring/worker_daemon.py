"""What Spark forks its Python workers from on one machine, with what each of them would import first.

MLflow, scikit-learn and skops are 4 s of processor time, otherwise of each worker, before its first micro-batch. The
workers of the source, which has a worker module of its own, import none of it.
"""

import sys

from pyspark import daemon


def main() -> None:
    """Import, then fork workers for ever; called by Spark with the worker module."""
    if sys.argv[1] == "pyspark.worker":
        from jobs.streaming.scoring.load import import_first
        from schemas.mlflow_server import import_mlflow

        import_first()
        import_mlflow()  # with telemetry it would start a thread, and a fork may not meet one that holds a lock
        import mlflow.sklearn  # noqa: F401
        import sklearn.pipeline  # noqa: F401

        import jobs.streaming.scoring.executors  # noqa: F401
    daemon.manager()


if __name__ == "__main__":
    main()
