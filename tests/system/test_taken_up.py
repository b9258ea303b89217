"""What version 0.1.0 wrote is taken up: its registry, checkpoint and tables, killed in the middle of a micro-batch.

`tests/data/written_by_0.1.0.tar.xz` was made with version 0.1.0 in /tmp/streamscore-0.1.0, by these commands:

    streamscore train wine_quality --data 400-rows.csv --promote
    streamscore sample wine_quality --rows 60 --files 3 --bad 0.1 --seed 1
    streamscore run wine_quality --trigger available-now --max-files 2
    streamscore sample wine_quality --rows 40 --files 2 --bad 0.1 --seed 2
    STREAMSCORE_FAIL_AT=predictions:before:2 streamscore run wine_quality --trigger available-now --max-files 1

so that micro-batches 0 and 1 are committed, and 2 is planned and its parts are written. Paths are in the manifests and
in their digests, so it is unpacked where it was written.
"""

import fcntl
import json
import lzma
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deltalake import DeltaTable

from tests.support.command import exit_code

ARCHIVE = Path(__file__).parents[1] / "data" / "written_by_0.1.0.tar.xz"
WRITTEN_IN = Path("/tmp/streamscore-0.1.0")


@pytest.fixture(scope="module")
def old() -> Iterator[Path]:
    """The working folder of version 0.1.0, caught up by this version."""
    with open("/tmp/streamscore-0.1.0.lock", "w") as lock:  # of another run of these tests on this machine
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(WRITTEN_IN, ignore_errors=True)
        # GNU tar, as Python's loses the nanoseconds of the files' times, which are in the manifests too.
        content = lzma.decompress(ARCHIVE.read_bytes())  # not every tar finds a program for it
        subprocess.run(["tar", "-xf", "-", "-C", WRITTEN_IN.parent, "--no-same-owner"], input=content, check=True)
        command = [sys.executable, "-m", "jobs.cli", "run", "wine_quality"]
        done = subprocess.run(
            [*command, "--trigger", "available-now", "--max-files", "1"],
            cwd=WRITTEN_IN,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        yield WRITTEN_IN
        shutil.rmtree(WRITTEN_IN)


def rows(name: str) -> list[dict[str, object]]:
    table = DeltaTable(str(WRITTEN_IN / "var/tables/wine_quality" / name))
    found: list[dict[str, object]] = table.to_pyarrow_dataset().to_table().to_pylist()
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("old")
def test_every_row_is_there_once_whichever_version_scored_it() -> None:
    landed = sorted((WRITTEN_IN / "var/landing/wine_quality").glob("*.csv"))
    lines = {(file.name, line) for file in landed for line in range(2, len(file.read_bytes().splitlines()) + 1)}
    told = [(row["source_file"], row["source_line"]) for row in (*rows("predictions"), *rows("quarantine"))]
    assert len(landed) == 5 and sorted(told) == sorted(lines)
    of_batch = {row["source_file"]: row["batch_id"] for row in rows("predictions")}
    assert sorted(of_batch.values()) == [0, 0, 1, 2, 3]  # type: ignore[type-var]
    assert {row["model_version"] for row in rows("predictions")} == {"1"}


@pytest.mark.slow
@pytest.mark.usefixtures("old")
def test_what_looks_at_a_stream_reads_what_it_wrote(capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str) -> str:
        assert exit_code(*arguments, cwd=WRITTEN_IN) == 0
        return capsys.readouterr().out

    status = json.loads(said("status", "wine_quality", "--json"))
    assert (status["batches"], status["files_waiting"], status["rows"] + status["rejects"]) == (4, 0, 100)
    first = rows("predictions")[0]
    line = ["--file", str(first["source_file"]), "--line", str(first["source_line"])]
    assert "wine_quality" in said("lineage", "wine_quality", *line, "--json")
    said("replay", "wine_quality", "--reason", "bad_type")
