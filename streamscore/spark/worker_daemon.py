"""What Spark forks its Python workers from on one machine, with what each of them would import first.

MLflow, scikit-learn and skops are 4 s of processor time, otherwise of each worker, before its first micro-batch. The
workers of the source, which has a worker module of its own, import none of it.
"""

import sys

from pyspark import daemon


def main() -> None:
    """Import, then fork workers for ever; called by Spark with the worker module."""
    if sys.argv[1] == "pyspark.worker":
        from streamscore.models.load import import_loaders

        import_loaders()
        import sklearn.pipeline  # noqa: F401

        import streamscore.spark.executors  # noqa: F401
    daemon.manager()


if __name__ == "__main__":
    main()
