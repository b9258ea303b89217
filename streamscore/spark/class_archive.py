"""The classes of a stream's start as one file that the JVM maps, instead of reading and checking them out of jars.

`make setup` makes it. A JVM for which it does not fit, being of another version or with other jars, does without.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.settings import load_settings
from streamscore.landing.source import LandingSource
from streamscore.spark.session import CLASSES, project_jars, start_session
from streamscore.storage.folder import LocalFolder
from streamscore.storage.stream_paths import StreamPaths

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

EXIT_SECONDS = 120


def make_class_archive() -> Path:
    """Stream an empty folder in a JVM that writes down, when it ends, what it loaded: 150 MB beside the jars.

    Raises:
        OSError, TimeoutExpired: the JVM wrote none.
    """
    jars = project_jars()[0].parent
    (jars / CLASSES).unlink(missing_ok=True)
    new = jars / f"{CLASSES}.new"
    options = {"spark.driver.extraJavaOptions": f'-XX:ArchiveClassesAtExit="{new}" -Xlog:cds=off'}
    spark = start_session(load_settings("local", {"spark.conf": options}), "class archive")
    gateway: Any = spark.sparkContext._gateway
    spark.dataSource.register(LandingSource)
    with tempfile.TemporaryDirectory() as folder:
        landing = LocalFolder(Path(folder))
        paths = StreamPaths(landing, f"{folder}/tables", landing.at("checkpoint"), landing.path)
        of_source: dict[str, str | int] = {
            "paths": paths.to_json(),
            "maxFiles": 1,
            "maxBytes": 1,
            "clean": "off",
            "fullLookSeconds": 60,
            "listSeconds": 1,
            "retrySeconds": 0,
            "ahead": "",
        }
        source = spark.readStream.format("landing").options(**of_source).load()

        def run_a_job(frame: "DataFrame", _: int) -> None:
            frame.collect()

        writer = source.writeStream.foreachBatch(run_a_job)
        query = writer.option("checkpointLocation", f"{folder}/checkpoint").trigger(availableNow=True).start()
        query.awaitTermination()
        spark.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(EXIT_SECONDS)
    return new.replace(jars / CLASSES)


if __name__ == "__main__":
    make_class_archive()
