"""A stream where the environment is not as its makers have it."""

import os
import re
from pathlib import Path

import pytest

from schemas.feed import Feed
from tests.support.fixture_types import Trained
from tests.support.oracle import Oracle, Stream

ROOT = Path(__file__).parents[2]
# Names each variable that appears or disappears while a process has threads, one of which may be C code that reads.
AUDIT = """
import os, sys, threading

def note(event, given):
    if event in ("os.putenv", "os.unsetenv") and threading.active_count() > 1:
        name = os.fsdecode(given[0])
        if event == "os.unsetenv" or name not in os.environ:  # another value of one that is there takes its place
            print("WRITTEN LATE:", name, file=sys.stderr)

sys.addaudithook(note)
"""


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.repeats
def test_a_stream_runs_without_a_name_a_locale_or_a_short_folder_for_temporary_files(
    tmp_path: Path, feed: Feed, trained: Trained, oracle: Oracle
) -> None:
    root, hosts, code = tmp_path / "größe é", tmp_path / "hosts", tmp_path / "code"
    temporary = tmp_path / ("x" * 100)
    for folder in (root, code, temporary):
        folder.mkdir()
    hosts.touch()
    (code / "sitecustomize.py").write_text(AUDIT)
    stream = Stream(
        root,
        feed,
        trained.uri,
        mode="executors",
        environment={
            "LC_ALL": "C",
            "TMPDIR": str(temporary),
            # no name has an address there, this machine's neither
            "JAVA_TOOL_OPTIONS": f"-Djdk.net.hosts.file={hosts}",
            "AWS_ACCESS_KEY_ID": "key",  # with both, Spark asks for the machine's own address
            "AWS_SECRET_ACCESS_KEY": "secret",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(code), str(ROOT), os.environ.get("PYTHONPATH")))),
            "_MLFLOW_TELEMETRY_SESSION_ID": "of-who-starts-it",
            "STREAMSCORE_SERVICE_HOST": "10.0.0.1",
            "STREAMSCORE_PORT": "tcp://10.0.0.1:80",
        },
    )
    stream.landing.mkdir()
    stream.land(files=2, rows=20, seed=1)
    stream.put("größe ü.csv", next(stream.landing.glob("*-00001.csv")).read_bytes())
    stream.run(max_files=3)
    oracle.assert_exactly_once(stream)
    assert re.findall("WRITTEN LATE: (.*)", stream.log()) == []
    assert list(temporary.iterdir()) == []
