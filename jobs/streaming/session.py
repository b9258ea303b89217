"""The Spark session of a stream: `conf/spark.conf`, the project's jars, and this Python for the workers."""

import os
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import jobs
import schemas
from schemas.errors import SettingsError
from schemas.settings import PACKAGED, Settings

if TYPE_CHECKING:  # pyspark is imported with the JVM's start, not by `streamscore status`
    from pyspark.sql import SparkSession

ROOT = Path(schemas.__file__).parent.parent
DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}


def start_session(settings: Settings, app_name: str) -> "SparkSession":
    """A session, or the one that spark-submit prepared.

    Raises:
        SettingsError: the project's jars are not there.
    """
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ.setdefault("SPARK_CONF_DIR", str(PACKAGED))  # log4j2.properties
    builder = SparkSession.builder.appName(app_name)
    for key, value in session_conf(settings).items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def session_conf(settings: Settings) -> dict[str, str]:
    """Spark's settings for a stream; those of the user's `spark.conf` win.

    Raises:
        SettingsError: the project's jars are not there.
    """
    jars = ":".join(str(jar) for jar in project_jars())
    given = dict(settings.spark.conf)
    if "PYSPARK_GATEWAY_PORT" not in os.environ:  # spark-submit decided these before Python ran
        given = {
            "spark.master": settings.spark.master,
            "spark.driver.memory": settings.spark.driver_memory,
            "spark.driver.extraClassPath": jars,
            "spark.executor.extraClassPath": jars,
            **packaged_conf(),
            **given,
        }
    return (DELTA if settings.tables.writer == "delta-spark" else {}) | given


def packaged_conf() -> dict[str, str]:
    """The settings in `conf/spark.conf`."""
    lines = (PACKAGED / "spark.conf").read_text("utf-8").splitlines()
    pairs = (line.split(None, 1) for line in lines if line and not line.startswith("#"))
    return {key: value.strip() for key, value in pairs}


def project_jars() -> list[Path]:
    """The jars that `make setup` resolved into `.jars`, of the project or of the working folder.

    Raises:
        SettingsError: there are none.
    """
    for folder in (ROOT / ".jars", Path.cwd() / ".jars"):
        if jars := sorted(folder.glob("*.jar")):
            return jars
    raise SettingsError(f"no jars in {ROOT / '.jars'}, wanted those of conf/jars/ivy.xml; get them: make setup")


def ship_code(spark: "SparkSession", folder: Path) -> None:
    """Send our packages, as they are imported here, to executors in other processes than the driver's."""
    if str(spark.sparkContext.master).startswith("local["):
        return
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "streamscore.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as code:
        for package in (jobs, schemas):
            root = Path(package.__path__[0])
            for path in sorted(root.rglob("*.py")):
                code.write(path, Path(root.name) / path.relative_to(root))
    spark.sparkContext.addPyFile(str(archive))
