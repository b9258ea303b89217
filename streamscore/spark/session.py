"""The Spark session of a stream: `conf/spark.conf`, the project's jars, and this Python for the workers."""

import os
import sys
import threading
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import schemas
import streamscore
from schemas.errors import SettingsError
from schemas.settings import PACKAGED, Settings, load_settings
from streamscore.spark.before_start import assert_can_start, this_machine
from streamscore.spark.jvm import JvmProcess, start_jvm
from streamscore.spark.jvm_error import no_jvm
from streamscore.storage.object_store import hadoop_conf, is_object_uri

if TYPE_CHECKING:  # pyspark is imported with the JVM's start, not by `streamscore status`
    from pyspark.sql import SparkSession

Made = TypeVar("Made")

WARM_WORKERS = {"spark.python.daemon.module": "streamscore.spark.worker_daemon"}  # elsewhere our code comes later
CLASSES = "classes.jsa"  # of class_archive.py; start and first query take 3.8 s of a processor with it, else 7.1
# Links to the `bin` and `jars` of the installed Spark, without the zip of its Python code that Spark puts before it on
# each worker's path: nothing compiled is kept of a zip, which costs each Python of a start 1 s.
HOME = "spark"

GATEWAY_PORT = "PYSPARK_GATEWAY_PORT"  # set by spark-submit for the Python that it starts
ADDRESSES = {"SPARK_LOCAL_HOSTNAME": "127.0.0.1", "SPARK_LOCAL_IP": "127.0.0.1"}

# The store's keys, and the JVM's names for them. Spark asks for the address of this machine's name where it finds them
# in its environment, and a machine's name need not have one.
STORE_KEYS = {
    "AWS_ACCESS_KEY_ID": "aws.accessKeyId",
    "AWS_SECRET_ACCESS_KEY": "aws.secretAccessKey",
    "AWS_SESSION_TOKEN": "aws.sessionToken",
}

ROOT = Path(schemas.__file__).parent.parent
DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}


def in_background(work: Callable[[], Made]) -> "Future[Made]":
    """What `work` makes, begun now in a thread that keeps no process from ending."""
    made: Future[Made] = Future()

    def run() -> None:
        try:
            made.set_result(work())
        except BaseException as error:  # or who waits for it would wait for ever
            made.set_exception(error)

    threading.Thread(target=run, name="background", daemon=True).start()
    return made


def start_session(settings: Settings | None = None, app_name: str = "streamscore") -> "SparkSession":
    """A session with the project's Spark settings and jars, or the one that spark-submit prepared.

    A session that this process has already is given again.

    Args:
        settings: `load_settings()` where none are given. With `tables.writer` set to `delta-spark`, Spark itself can
            read and write Delta tables.
        app_name: what Spark's pages call it.

    Raises:
        SettingsError: the project's jars are not there, or the JVM does not start.
    """
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    settings = settings or load_settings()
    conf = session_conf(settings) | {"spark.app.name": app_name}
    jvm = None
    if SparkContext._gateway is None and not is_submitted():
        assert_can_start(this_machine(), settings.spark)
        jvm = _start_jvm(conf, settings.spark.master)
    builder = SparkSession.builder
    for key, value in conf.items():
        builder = builder.config(key, value)
    try:
        spark = builder.getOrCreate()
    except Exception as error:  # whatever Java throws
        if jvm is None and isinstance(error, OSError | ValueError | KeyError):
            raise _not_submitted(error) from error
        said, code = (jvm.said(), jvm.code()) if jvm else ("", None)
        raise no_jvm(said, code, str(error)) from error
    if jvm:
        jvm.pass_on()
    spark.sparkContext.pythonExec = sys.executable  # of Spark's workers, whatever PYSPARK_PYTHON says
    if is_local(settings.spark.master):
        _give_keys(spark.sparkContext.environment)
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def _start_jvm(conf: Mapping[str, str], master: str) -> JvmProcess:
    """One that has the store's keys, but on one machine not in its environment."""
    from pyspark import SparkContext

    if not is_local(master):
        return start_jvm(conf, jvm_variables(os.environ, master))
    jvm = start_jvm(conf, jvm_variables(os.environ, master), without=STORE_KEYS)
    for name, known_as in STORE_KEYS.items():
        if name in os.environ:  # through the gateway, since each user of a machine can read a command line
            SparkContext._jvm.java.lang.System.setProperty(known_as, os.environ[name])  # type: ignore[union-attr]
    return jvm


def _give_keys(environment: dict[str, str]) -> None:
    """Write the store's keys into the environment of the JVM's Python workers, one of which finds the files."""
    for name in STORE_KEYS:
        environment.pop(name, None)
        if name in os.environ:
            environment[name] = os.environ[name]


def is_submitted() -> bool:
    """Whether spark-submit started the JVM, and this Python in it."""
    return GATEWAY_PORT in os.environ


def _not_submitted(error: Exception) -> SettingsError:
    port = os.environ.get(GATEWAY_PORT, "")
    return SettingsError(
        f"{GATEWAY_PORT} is '{port}', and no JVM of spark-submit answers there ({error}); start with spark-submit.sh, "
        f"or: unset {GATEWAY_PORT} PYSPARK_GATEWAY_SECRET"
    )


def is_local(master: str) -> bool:
    """Whether driver and executors are one process."""
    return master == "local" or master.startswith("local[")


def jvm_variables(environment: Mapping[str, str], master: str) -> dict[str, str]:
    """What the JVM and its Python workers get beside the environment of this process.

    Text and names of files are UTF-8 there, whatever the locale is: Java 17 would take another file for one with an
    umlaut. On one machine nobody asks for the address of this machine's name, which need not have one.
    """
    variables = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable, "LC_ALL": "C.UTF-8"}
    if not environment.get("SPARK_CONF_DIR"):
        variables["SPARK_CONF_DIR"] = str(project_jars()[0].parent / "conf")  # not there: see java_options
    if is_local(master) and not any(environment.get(name) for name in ADDRESSES):
        variables |= ADDRESSES
    if is_local(master) and not environment.get("SPARK_HOME") and (home := spark_home()):
        variables["SPARK_HOME"] = str(home)
    return variables


def spark_home() -> Path | None:
    """Where `make setup` linked the Spark of this Python without its zip; None if it did not, or another one."""
    import pyspark

    home, installed = project_jars()[0].parent / HOME, Path(pyspark.__file__).parent
    same = all((home / part).exists() and (home / part).samefile(installed / part) for part in ("bin", "jars"))
    return home if same else None


def session_conf(settings: Settings) -> dict[str, str]:
    """Spark's settings for a stream; those of the user's `spark.conf` win.

    Raises:
        SettingsError: the project's jars are not there.
    """
    jars = ":".join(map(str, project_jars(with_store=spark_needs_store(settings))))
    given = dict(settings.spark.conf)
    if not is_submitted():  # spark-submit decided these before Python ran
        given = {
            "spark.master": settings.spark.master,
            "spark.driver.memory": settings.spark.driver_memory,
            "spark.driver.extraClassPath": jars,
            "spark.executor.extraClassPath": jars,
            **packaged_conf(),
            **(WARM_WORKERS if is_local(settings.spark.master) else {}),
            **given,
            "spark.driver.extraJavaOptions": f"{java_options(mapped=not spark_needs_store(settings))} "
            + given.get("spark.driver.extraJavaOptions", ""),
        }
    delta = DELTA if settings.tables.writer == "delta-spark" else {}
    return delta | (hadoop_conf(settings.storage) if spark_needs_store(settings) else {}) | given


def spark_needs_store(settings: Settings) -> bool:
    """Whether Spark itself touches the object store; else no jar of Hadoop's for it is on the class path."""
    return spark_commits_to_store(settings) or is_object_uri(settings.checkpoint)


def spark_commits_to_store(settings: Settings) -> bool:
    """Whether Spark's own writer commits to tables in the object store."""
    return settings.tables.writer == "delta-spark" and is_object_uri(settings.tables.path)


def packaged_conf() -> dict[str, str]:
    """The settings in `conf/spark.conf`."""
    lines = (PACKAGED / "spark.conf").read_text("utf-8").splitlines()
    pairs = (line.split(None, 1) for line in lines if line and not line.startswith("#"))
    return {key: value.strip() for key, value in pairs}


def java_options(*, mapped: bool = False) -> str:
    """The driver's: those of `conf/spark.conf`, the settings of Spark's own log, and the class archive if it is there.

    Their path is an option because a JVM maps no classes with a folder on its class path, as Spark's `conf` would be.

    Args:
        mapped: with the class archive, which fits no class path but that of the project's own jars.
    """
    options = [packaged_conf()["spark.driver.extraJavaOptions"]]
    if os.environ.get("SPARK_CONF_DIR") in (None, "", str(project_jars()[0].parent / "conf")):
        options.append(f"-Dlog4j2.configurationFile={(PACKAGED / 'log4j2.properties').as_uri()}")
    archive = project_jars()[0].parent / CLASSES
    if mapped and archive.is_file():
        options.append(f'-XX:SharedArchiveFile="{archive}" -Xlog:cds=off -Xlog:cds+dynamic=off')
    return " ".join(options)


def project_jars(*, with_store: bool = False) -> list[Path]:
    """The jars that `make setup` resolved into `.jars`, of the project or of the working folder.

    Args:
        with_store: those for the object store as well.

    Raises:
        SettingsError: there are none.
    """
    for folder in (ROOT / ".jars", Path.cwd() / ".jars"):
        if jars := sorted(folder.glob("*.jar")):
            return jars + (sorted(folder.glob("s3a/*.jar")) if with_store else [])
    msg = f"no jars in {ROOT / '.jars'}, wanted those of conf/jars/ivy.xml; get them: make setup"
    raise SettingsError(msg)


def ship_code(spark: "SparkSession", folder: Path) -> None:
    """Send our packages, as they are imported here, to executors in other processes than the driver's."""
    if str(spark.sparkContext.master).startswith("local["):
        return
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "streamscore.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as code:
        for package in (schemas, streamscore):
            root = Path(package.__path__[0])
            for path in sorted(root.rglob("*.py")):
                code.write(path, Path(root.name) / path.relative_to(root))
    spark.sparkContext.addPyFile(str(archive))
