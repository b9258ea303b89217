"""A power cut at any moment of a run loses and doubles no row, in each clean mode.

One real stream is recorded with all its processes. Then each state that a cut can leave on the disk is laid out, and a
start looks at it: what is in the tables, and what would be scored.
"""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from jobs.streaming import start
from jobs.streaming.checkpoint import Checkpoint
from jobs.streaming.prepare import Prepared, StreamRun, open_run, prepare
from schemas.errors import StreamscoreError
from schemas.settings import load_settings
from streamscore.landing.find import DiscoveryOptions
from streamscore.landing.manifest import BatchManifest, LandedFile, source_file
from streamscore.tables.commit import committed
from tests.support.finder_kit import AskedBySpark
from tests.support.oracle import Stream
from tests.support.power_cut import Disk, cuts, lay_out, recorder
from tests.support.wine import HEADER, ROW

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.needs("strace")]

FILES, ROWS = 5, 3
LATER = pytest.mark.repeats


@dataclass(frozen=True, slots=True)
class Restart:
    """What a start makes of a disk.

    Attributes:
        said: why the first one ended; empty if it went on.
        scored: file → rows in the tables.
        waiting: files that are scored next, in this order.
    """

    said: str
    scored: Counter[str]
    waiting: list[str]


@pytest.mark.parametrize("clean", [pytest.param("off", marks=LATER), pytest.param("archive", marks=LATER), "delete"])
def test_a_power_cut_loses_and_doubles_no_row(stream: Stream, tmp_path: Path, clean: str) -> None:
    disk, trace = tmp_path / "disk", tmp_path / "trace"
    stream.places = {name: str(disk / name) for name in ("landing", "tables", "checkpoint")}
    stream.landing.mkdir(parents=True)
    for number in range(FILES):
        stream.put(f"{number}.csv", (HEADER + ROW * ROWS).encode())
    times = {path.name: path.stat().st_mtime_ns for path in stream.landing.iterdir()}
    before = Disk.of(disk)
    stream.clean, stream.under = clean, recorder(trace)
    stream.run(max_files=1)
    assert len(list(stream.landing.glob("*.csv"))) == (FILES if clean == "off" else 0)

    removed, wrong = set[int](), list[str]()
    for names_first in (False, True):
        for after, left in cuts(before.as_it_is(), trace, stream.landing, names_first=names_first):
            lay_out(left, disk, times)
            stream.landing.mkdir(exist_ok=True)
            removed.add(FILES - len(list(stream.landing.glob("*.csv"))))
            found = restart(stream, clean)
            rows = {name: found.scored[name] + ROWS * found.waiting.count(name) for name in times}
            if rows != dict.fromkeys(times, ROWS):
                wrong.append(f"after {after}: {rows}, {found}")
    assert wrong == []
    assert removed == ({0} if clean == "off" else set(range(FILES + 1)))


def restart(stream: Stream, clean: str) -> Restart:
    """A start as far as Spark's first plan; with `--recover` where the first one asks for it."""
    settings = load_settings(
        flags={
            "landing": str(stream.landing),
            "tables.path": stream.place("tables"),
            "checkpoint": str(stream.checkpoint),
            "streaming.clean": clean,
            "streaming.trigger": "available-now",
        }
    )
    said = ""
    for recover in (False, True):
        run = open_run(stream.feed, settings)
        try:
            with ExitStack() as undo:
                prepared = prepare(run, undo, recover=recover)
                run.tables.create(pa.float64())
                if recover:
                    start._fill_ledger(prepared)
                return Restart(said, *outcome(run, prepared))
        except StreamscoreError as error:
            said = str(error)
            if recover or "--recover" not in said:
                raise
    raise AssertionError(said)


def outcome(run: StreamRun, prepared: Prepared) -> tuple[Counter[str], list[str]]:
    """Rows in the tables, file by file, and the files that come next."""
    checkpoint, tables = prepared.checkpoint, run.tables
    scored: Counter[str] = Counter()
    scored.update(tables.predictions.dataset().to_table(["source_file"])["source_file"].to_pylist())
    files: list[LandedFile] = []
    begun = newest_plan(checkpoint)
    if begun.files and not committed(checkpoint.last_offset, checkpoint.app_id, begun.digest, tables):
        files += begun.files
    finder = AskedBySpark(
        DiscoveryOptions(paths=run.paths, max_files=1, max_bytes=2**20, clean=run.settings.streaming.clean)
    )
    finder.drain()
    while (following := finder.after(begun, 1)) != begun:
        files += following.files
        begun = following
    finder.close()
    return scored, [source_file(file, run.landing) for file in files]


def newest_plan(checkpoint: Checkpoint) -> BatchManifest:
    newest = checkpoint.last_offset
    return checkpoint.manifest(newest) if newest >= 0 else BatchManifest(0)
