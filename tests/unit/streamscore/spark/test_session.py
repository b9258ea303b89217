"""Spark's settings for a stream."""

import os
import subprocess
import sys

import pytest
from pyspark import SparkContext
from pyspark.sql import SparkSession

from schemas.errors import SettingsError
from schemas.settings import load_settings
from streamscore.spark.session import ADDRESSES, CLASSES, jvm_variables, project_jars, session_conf, start_session

DAEMON = "spark.python.daemon.module"


def test_workers_of_this_machine_are_forked_from_one_that_has_imported() -> None:
    conf = session_conf(load_settings(flags={"spark.master": "local[2]"}))
    assert conf[DAEMON] == "streamscore.spark.worker_daemon"


@pytest.mark.slow
def test_what_workers_are_forked_from_has_no_thread_that_could_hold_a_lock() -> None:
    code = (
        "import sys, threading\n"
        "from pyspark import daemon\n"
        "from streamscore.spark import worker_daemon\n"
        "daemon.manager = lambda: print(*(thread.name for thread in threading.enumerate()))\n"
        "sys.argv = ['daemon', 'pyspark.worker']\n"
        "worker_daemon.main()\n"
        "assert 'mlflow.sklearn' in sys.modules\n"
    )
    tests = ("CI", "PYTEST_CURRENT_TEST")  # where MLflow starts none anyway
    environment = {name: value for name, value in os.environ.items() if name not in tests}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "MainThread\n"


def test_workers_of_other_machines_get_our_code_too_late_for_that() -> None:
    assert DAEMON not in session_conf(load_settings(flags={"spark.master": "spark://host:7077"}))


def test_the_users_own_conf_wins() -> None:
    own = {DAEMON: "own.daemon", "spark.sql.shuffle.partitions": "7"}
    conf = session_conf(load_settings(flags={"spark.conf": own}))
    assert conf.items() >= own.items()


@pytest.mark.parametrize("master", ["local[2]", "spark://host:7077"])
def test_no_master_asks_for_the_jars_of_an_object_store_without_one(master: str) -> None:
    conf = session_conf(load_settings(flags={"spark.master": master}))
    assert "s3a" not in conf["spark.driver.extraClassPath"]


def test_the_jvm_of_one_machine_asks_for_no_address_and_reads_text_as_utf_8() -> None:
    variables = jvm_variables({"LC_ALL": "C", "PYSPARK_PYTHON": "/other", "SPARK_LOCAL_IP": ""}, "local[2]")
    assert variables["LC_ALL"] == "C.UTF-8"
    assert variables["SPARK_LOCAL_HOSTNAME"] == variables["SPARK_LOCAL_IP"] == "127.0.0.1"
    assert variables["PYSPARK_PYTHON"] == sys.executable


@pytest.mark.parametrize(
    ("environment", "master"), [({"SPARK_LOCAL_HOSTNAME": "own"}, "local[2]"), ({}, "spark://host:7077")]
)
def test_the_address_of_others_stays_theirs(environment: dict[str, str], master: str) -> None:
    assert not jvm_variables(environment, master).keys() & ADDRESSES.keys()


@pytest.mark.parametrize(("port", "said"), [("1", "refused"), ("x", "invalid literal")])
def test_a_variable_that_is_left_over_from_another_spark_is_told(
    monkeypatch: pytest.MonkeyPatch, port: str, said: str
) -> None:
    for name in ("_gateway", "_active_spark_context"):
        monkeypatch.setattr(SparkContext, name, None)
    monkeypatch.setattr(SparkSession, "_instantiatedSession", None)
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", port)
    monkeypatch.setenv("PYSPARK_GATEWAY_SECRET", "x")
    told = rf"PYSPARK_GATEWAY_PORT is '{port}', and no JVM .*{said}.*or: unset PYSPARK_GATEWAY_PORT"
    with pytest.raises(SettingsError, match=told):
        start_session(load_settings())


def test_make_setup_has_archived_the_classes_of_a_start() -> None:
    """Without the archive a start takes some seconds more, and says nothing."""
    folder = project_jars()[0].parent
    assert (folder / CLASSES).is_file(), (folder / "classes.log").read_text("utf-8")[-2000:]
