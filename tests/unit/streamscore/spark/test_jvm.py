"""A JVM that does not come up, by a spark-submit that only speaks; those that do come up are in every other test."""

import os
import time
from pathlib import Path

import pytest
from pyspark import SparkContext

from schemas.errors import SettingsError
from streamscore.spark.jvm import start_jvm

SECONDS = 20  # of a script; one that is waited for in vain is waited for for ever


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'JAVA_HOME is not set' >&2; exit 1", "there is no Java"),
        ("echo 'Could not reserve enough space for object heap'; exit 1", "not enough memory"),
        ('echo "java.lang.Error: $A_VARIABLE, $PATH" >&2; exit 1', "java.lang.Error: its own, /"),
        ("exit 0", "and said nothing"),
        ("kill -9 $$", "was killed at its start"),
    ],
)
def test_what_it_said_is_told_and_nothing_is_waited_for(
    tmp_path: Path, script: str, said: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bin").mkdir()
    submit = tmp_path / "bin" / "spark-submit"
    submit.write_text(f"#!/bin/sh\n{script}\n")
    submit.chmod(0o755)
    monkeypatch.setattr(SparkContext, "_gateway", None)
    before, begun = dict(os.environ), time.monotonic()
    with pytest.raises(SettingsError, match="Spark's JVM ") as refused:
        start_jvm({"spark.master": "local[1]"}, {"SPARK_HOME": str(tmp_path), "A_VARIABLE": "its own"})
    assert said in str(refused.value)
    assert dict(os.environ) == before
    assert capfd.readouterr() == ("", "")
    assert time.monotonic() - begun < SECONDS


def test_a_spark_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"No such file or directory: '{tmp_path}"):
        start_jvm({}, {"SPARK_HOME": str(tmp_path)})
