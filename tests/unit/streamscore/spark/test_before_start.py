"""What a JVM needs of a machine: from an environment and its limits to the one line that mends them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyspark
import pytest

from schemas.errors import SettingsError
from schemas.settings import Spark
from streamscore.spark import before_start
from streamscore.spark.before_start import Machine, assert_can_start, findings, this_machine

FINE = Machine({"PATH": "/usr/bin:/bin"}, 2**20, None, None, {"/tmp": 2**40})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With a Java and a Spark that are there and do nothing."""
    (tmp_path / "bin").mkdir()
    for name in ("java", "spark-submit"):
        (tmp_path / "bin" / name).touch(0o755)
    (tmp_path / "jars").mkdir()
    return tmp_path


def told(machine: Machine, spark: Spark | None = None) -> str:
    """The error of a start, empty if nothing keeps it from starting."""
    try:
        assert_can_start(machine, spark or Spark())
    except SettingsError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"JAVA_HOME": "/nope"}, "JAVA_HOME is /nope, and /nope/bin/java is no program; unset JAVA_HOME, then"),
        ({"JAVA_HOME": "", "PATH": "/nope"}, "no java on PATH and no JAVA_HOME; install Java 17 or 21"),
        ({"SPARK_HOME": "/nope"}, "SPARK_HOME is /nope, which has no bin/spark-submit; unset SPARK_HOME"),
        ({"PYSPARK_SUBMIT_ARGS": "--master local[2]"}, "found is '--master local[2]', wanted options and then"),
        ({"PYSPARK_SUBMIT_ARGS": "--name 'a pyspark-shell"}, "unset PYSPARK_SUBMIT_ARGS"),
        ({"PYSPARK_SUBMIT_ARGS": ""}, "unset PYSPARK_SUBMIT_ARGS"),
        ({"SPARK_REMOTE": "sc://host"}, "Spark Connect, wanted a Spark of its own; unset SPARK_REMOTE"),
        ({"SPARK_API_MODE": "connect"}, "unset SPARK_REMOTE SPARK_API_MODE"),
        ({"PYSPARK_SUBMIT_ARGS": "--conf a=b pyspark-shell", "SPARK_HOME": "", "SPARK_REMOTE": ""}, ""),
    ],
)
def test_a_variable_that_stops_a_start_is_told_with_its_value(home: Path, variables: dict[str, str], said: str) -> None:
    found = told(replace(FINE, environment={"JAVA_HOME": str(home)} | variables))
    assert said.replace("found is", "PYSPARK_SUBMIT_ARGS is") in found
    assert bool(said) == found.endswith("then: streamscore doctor")
    assert "\n" not in found


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"open_files": 256}, "256 files may be open, wanted 1,024 or more; ulimit -n 1024"),
        ({"memory": 2**27}, "128 MiB of memory are allowed here, wanted 2 GiB; give this container"),
        ({"address_space": 2**27}, "128 MiB of address space are allowed here, wanted no limit; ulimit -v unlimited"),
        ({"temporary": {"/t t": 0}}, "0.0 MiB can be written in /t t for temporary files (TMPDIR, /tmp), wanted 8 MiB"),
        ({"temporary": {"/a": 2**40, "/t": 2**20}}, "1.0 MiB can be written in /t"),
    ],
)
def test_a_limit_that_stops_a_start_is_told_with_what_is_wanted(home: Path, limits: Any, said: str) -> None:
    assert said in told(replace(FINE, environment={"JAVA_HOME": str(home)}, **limits))


@pytest.mark.parametrize(
    ("size", "fine"),
    [("1g", True), ("512m", True), ("600", True), ("524288k", True), ("1gb", True), ("128m", False), ("lots", False)],
)
def test_the_memory_of_the_jvm_is_enough_for_spark_or_told(home: Path, size: str, fine: bool) -> None:
    machine = replace(FINE, environment={"JAVA_HOME": str(home)})
    for spark in (Spark(driver_memory=size), Spark(conf={"spark.driver.memory": size})):
        assert (told(machine, spark) == "") == fine
        assert fine or f"spark.driver_memory is '{size}', wanted" in told(machine, spark)


def test_a_spark_of_another_version_is_told(home: Path) -> None:
    machine = replace(FINE, environment={"JAVA_HOME": str(home), "SPARK_HOME": str(home)})
    (home / "jars" / f"spark-core_2.13-{pyspark.__version__}.jar").touch()
    assert told(machine) == ""
    (home / "jars" / f"spark-core_2.13-{pyspark.__version__}.jar").rename(home / "jars" / "spark-core_2.12-3.5.1.jar")
    assert f"of version 3.5.1, wanted {pyspark.__version__} as in this Python; unset SPARK_HOME" in told(machine)


def test_the_least_limit_of_the_groups_above_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(before_start, "CGROUP", tmp_path)
    for group, limit in (("", "max"), ("a", str(2**30)), ("a/b", str(2**62))):
        (tmp_path / group).mkdir(exist_ok=True)
        (tmp_path / group / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "groups").write_text("0::/a/b\n")
    monkeypatch.setattr(before_start, "GROUPS", tmp_path / "groups")
    assert this_machine().memory == 2**30


def test_this_machine_can_start_one() -> None:
    assert [finding.fix for finding in findings(this_machine(), Spark())] == [""] * 5
