"""Who commits: delta-rs, or Spark for catalogs that need it."""

from typing import TYPE_CHECKING

from schemas.errors import SettingsError
from streamscore.storage.places import open_folder
from streamscore.tables.commit import DeltaRsWriter, Writer
from streamscore.tables.spark_writer import DeltaSparkWriter
from streamscore.tables.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def writer_of(tables: Tables, spark: "SparkSession | None" = None) -> Writer:
    """The writer of the setting `tables.writer`; left-overs of a crash are cleared away.

    Raises:
        SettingsError: delta-spark is asked for without a session.
    """
    if tables.settings.writer == "delta-rs":
        return DeltaRsWriter()
    if spark is None:
        msg = "tables.writer is delta-spark and there is no Spark session; set it to delta-rs"
        raise SettingsError(msg)
    for uri in tables.folders:
        folder = open_folder(uri, tables.storage)
        for name in folder.names():
            folder.delete(name)
    return DeltaSparkWriter(spark)
