"""The writer for catalogs that need Spark's own commits: staged parts in, one commit of delta-spark out.

About 0.7 s a commit on small batches, against 2 ms without Spark.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from schemas.errors import ConflictError, StorageError
from streamscore.storage.places import hadoop_uri, open_folder
from streamscore.tables.commit import predicate, replace_guard
from streamscore.tables.delta_log import DeltaLog
from streamscore.tables.parts import Part, Parts
from streamscore.tables.tables import STAGING, Tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameWriter, SparkSession

SNAPSHOT_PARTITIONS = "spark.databricks.delta.snapshotPartitions"


class DeltaSparkWriter:
    """Commits by delta-spark: parts are read where they are staged and written again into the table.

    delta-spark skips a transaction that is in without a word, so each commit is looked for afterwards.
    """

    def __init__(self, spark: "SparkSession") -> None:
        self._spark = spark
        if spark.conf.get(SNAPSHOT_PARTITIONS, None) is None:
            spark.conf.set(SNAPSHOT_PARTITIONS, "1")  # of 50 by default: most of a small commit's time

    def append(self, log: DeltaLog, parts: Sequence[Part], app_id: str, number: int, metadata: str) -> int:
        log.refresh()  # as late as can be: Spark commits from the version that it finds
        log.assert_writable()
        found = log.transaction(app_id)
        if found is not None and found >= number:
            msg = f"{log.uri}: transaction {number} of {app_id} cannot be committed, {found} is in"
            raise ConflictError(msg)
        writer = self._rows(log, parts).write.format("delta").mode("append")
        return self._commit(writer, log, app_id, number, metadata)

    def replace(
        self, log: DeltaLog, own: dict[str, str | int], parts: Sequence[Part], app_id: str, metadata: str
    ) -> int:
        log.assert_writable()
        guard = replace_guard(app_id)
        found = log.transaction(guard)
        writer = self._rows(log, parts).write.format("delta").mode("overwrite").option("replaceWhere", predicate(own))
        return self._commit(writer, log, guard, 0 if found is None else found + 1, metadata)

    def clear(self, parts: Parts, tables: Tables) -> None:
        """Remove the staged parts; those of a batch that a crash ended go when the next writer is made."""
        for folder, staged in zip(tables.folders, (parts.predictions, parts.rejects), strict=True):
            for part in staged:
                open_folder(folder, tables.storage).delete(part.path)

    def _rows(self, log: DeltaLog, parts: Sequence[Part]) -> "DataFrame":
        """The rows of the parts, with the table's columns."""
        schema = self._spark.read.format("delta").load(hadoop_uri(log.uri)).schema
        if not parts:
            return self._spark.createDataFrame([], schema)
        folder = hadoop_uri(staging(log.uri))
        return self._spark.read.schema(schema).parquet(*(f"{folder}/{part.path}" for part in parts))

    def _commit(
        self,
        writer: "DataFrameWriter",
        log: DeltaLog,
        app_id: str,
        number: int,
        metadata: str,
    ) -> int:
        before = log.version
        options = {"txnAppId": app_id, "txnVersion": str(number), "userMetadata": metadata}
        try:
            writer.options(**options).save(hadoop_uri(log.uri))
        except Exception as error:  # whatever Java throws
            first_line = str(error).partition("\n")[0]
            if any(word in first_line for word in ("DELTA_CONCURRENT", "Concurrent", "DELTA_METADATA_CHANGED")):
                msg = f"{log.uri}: another driver is at work: {first_line}; stop one of them"
                raise ConflictError(msg) from error
            msg = f"delta-spark cannot commit to {log.uri}: {first_line}; look: streamscore doctor"
            raise StorageError(msg) from error
        log.refresh()
        version = next((e.version for e in log.entries(before) if e.metadata == metadata), None)
        if version is None:
            msg = f"{log.uri}: transaction {number} of {app_id} was taken by another driver; stop one of them"
            raise ConflictError(msg)
        return version


def staging(uri: str) -> str:
    """The folder of parts that wait for their commit to a table."""
    tables, _, table = uri.rpartition("/")
    return f"{tables}/{STAGING}/{table}"
