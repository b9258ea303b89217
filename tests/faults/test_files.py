"""Landed files that change, and disks that are full: every row is in once, and what is not said is told."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.oracle import Oracle, Stream

pytestmark = pytest.mark.faults

DAY = 86_400


@pytest.mark.repeats
def test_files_that_grow_are_rewritten_or_come_from_the_future_cost_no_row(
    stream: Stream, oracle: Oracle, recovers: Callable[..., None]
) -> None:
    stream.land(files=3, rows=20, seed=0)
    stream.start()
    stream.until(lambda: oracle.tally(stream).lost == 0)
    rewritten = next(iter(stream.landed))

    _grow(stream, "slow.csv")
    recovers("landing file grows while it is read", stream)

    stream.put(rewritten, stream.landed[rewritten].encode() + b"7,0.3,0.3,1,0.05,30,100,0.99,3.2,0.5,10,6\n")
    stream.land(files=1, rows=20, seed=2)
    recovers("landing file rewritten under its name", stream)
    stream.until(lambda: "file_changed" in set(stream.table("quarantine").reason))

    hidden = stream.landing / ".future"
    hidden.write_text(stream.landed[rewritten])
    os.utime(hidden, (time.time() + 10 * DAY,) * 2)
    stream.landed["future.csv"] = stream.landed[rewritten]
    hidden.rename(stream.landing / "future.csv")
    stream.until(lambda: oracle.tally(stream).lost == 0)
    stream.land(files=3, rows=20, seed=3)
    recovers("landing file dated ten days ahead", stream)
    oracle.assert_exactly_once(stream)


def _grow(stream: Stream, name: str) -> None:
    """A file that is written under its own name, a few rows at a time."""
    header, *rows = stream.landed[next(iter(stream.landed))].splitlines(keepends=True)
    rows = [row for row in rows if "\ufffd" not in row]
    stream.landed[name] = header + "".join(rows)
    with (stream.landing / name).open("w") as file:
        file.write(header)
        for row in rows:
            file.write(row)
            file.flush()
            time.sleep(0.1)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("a small disk is a tmpfs: only root may mount it")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Nothing more fits on the file system."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (2**16, 2**10, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    assert shutil.disk_usage(folder).free == 0
    return ballast


@pytest.mark.repeats
def test_a_disk_that_is_full_at_the_start_is_told_in_one_line(stream: Stream, small_disk: Path) -> None:
    stream.places["checkpoint"] = str(small_disk / "checkpoint")
    fill(small_disk)
    stream.start()
    assert stream.wait() == 5
    (line,) = [line for line in stream.log().splitlines() if line.startswith("streamscore: ")]
    assert "/checkpoint cannot be written: No space left on device; look: streamscore doctor" in line
    assert "Traceback" not in stream.log()


@pytest.mark.faults_long
@pytest.mark.parametrize("place", ["checkpoint", "tables"])
def test_a_full_disk_is_waited_out(
    stream: Stream, small_disk: Path, oracle: Oracle, recovers: Callable[..., None], place: str
) -> None:
    stream.places[place] = str(small_disk / place)
    stream.land(files=2, rows=20, seed=0)
    stream.start()
    stream.until(lambda: oracle.tally(stream).lost == 0)
    ballast = fill(small_disk)
    stream.land(files=4, rows=20, seed=1)
    time.sleep(5)
    assert stream.process is not None
    went_on = stream.process.poll() is None
    if not went_on:  # Spark itself could not write: the stream ended and said why
        assert stream.process.returncode == 5, stream.log()[-3000:]
    assert "No space left on device" in stream.log()
    ballast.unlink()
    if not went_on:
        stream.start()
    recovers(f"disk full: {place}", stream)
    oracle.assert_exactly_once(stream)


@pytest.mark.faults_long
def test_a_full_disk_for_sparks_own_files_ends_the_stream_which_starts_again(
    stream: Stream,
    small_disk: Path,
    oracle: Oracle,
    promote: Callable[[str], None],
    recovers: Callable[..., None],
) -> None:
    stream.mode = "executors"
    stream.environment["STREAMSCORE_SPARK__CONF"] = f'{{"spark.local.dir": "{small_disk}"}}'
    stream.land(files=2, rows=20, seed=0)
    stream.start()
    stream.until(lambda: oracle.tally(stream).lost == 0)
    ballast = fill(small_disk)
    promote("2")  # the new version's files go to executors through Spark's folder
    for seed in range(1, 30):
        stream.land(files=1, rows=20, seed=seed)
        time.sleep(1)
        if stream.process is not None and stream.process.poll() is not None:
            break
    assert stream.process is not None and stream.process.returncode == 5, stream.log()[-3000:]
    assert "No space left on device" in stream.log()
    ballast.unlink()
    stream.start()
    recovers("disk full: Spark's spill folder", stream)
    oracle.assert_exactly_once(stream)
