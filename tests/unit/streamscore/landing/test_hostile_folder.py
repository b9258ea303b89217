"""A folder that others write holds anything: every good file is found once, every bad entry is told once."""

import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from streamscore.landing.find import DiscoveryOptions
from streamscore.landing.manifest import BatchManifest
from streamscore.landing.troubles import PASSED_OVER, Trouble, printable
from streamscore.storage.folder import LocalFolder
from streamscore.storage.stream_paths import StreamPaths
from tests.support.finder_kit import AskedBySpark
from tests.support.hostile_folder import Hostile, Maker
from tests.support.nobody import as_nobody, folder_for_nobody, give_to_nobody

LAST = "zz-last-{}.csv"


class Stream:
    """The source of a stream, as a start makes it: what it finds, and what it tells."""

    def __init__(self, landing: Path, checkpoint: Path) -> None:
        self.landing = landing
        paths = StreamPaths(LocalFolder(landing), str(checkpoint / "tables"), LocalFolder(checkpoint), checkpoint)
        self.finder = AskedBySpark(DiscoveryOptions(paths, 7, 2**30, "off"))
        self.found, self.told = Counter[str](), Counter[str]()
        self.begun = BatchManifest(0)

    def run_until(self, name: str | None) -> None:
        """Micro-batch after micro-batch, until a file is found, if one is to be, and nothing more comes."""
        until = time.monotonic() + 20
        idle = 0
        while ((name and name not in self.found) or idle < 4) and time.monotonic() < until:
            manifest = self.finder.after(self.begun, 100)
            idle = idle + 1 if manifest == self.begun else 0
            if manifest != self.begun:
                self.found.update(os.path.relpath(file.local_path, self.landing) for file in manifest.files)
            self.begun = manifest
        self.finder.troubles.tell(self._hear)
        self.finder.troubles.keep()

    def _hear(self, new: Sequence[Trouble], over: Sequence[Trouble]) -> bool:
        self.told.update(trouble.name for trouble in new if trouble.kind == PASSED_OVER)
        assert not over
        return True


def stream(landing: Path, checkpoint: Path) -> tuple[Counter[str], Counter[str]]:
    """A start, what comes while it runs, and a second start."""
    first = Stream(landing, checkpoint)
    first.run_until(LAST.format(1))
    (checkpoint / "running").touch()
    first.run_until(LAST.format(2))
    second = Stream(landing, checkpoint)
    second.begun = first.begun
    second.run_until(None)
    return first.found + second.found, first.told + second.told


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.repeats) for seed in range(1, 20))])
def test_every_good_file_is_found_once_and_every_bad_entry_told_once(seed: int) -> None:
    with folder_for_nobody() as folder, ThreadPoolExecutor(1) as pool:
        landing, checkpoint = folder / "landing", folder / "checkpoint"
        landing.mkdir()
        checkpoint.mkdir()
        give_to_nobody(checkpoint)
        maker = Maker(landing, Random(seed))
        made = [maker.make(40)]
        (landing / LAST.format(1)).write_text("x")
        running = pool.submit(as_nobody, lambda: stream(landing, checkpoint))
        while not (checkpoint / "running").exists() and not running.done():
            time.sleep(0.01)
        made.append(maker.make(40))
        (landing / LAST.format(2)).write_text("x")
        found, told = running.result()
        assert_found(found, told, made)
        for path in (path for hostile in made for path in hostile.locked):
            path.chmod(0o755)


def assert_found(found: Counter[str], told: Counter[str], made: list[Hostile]) -> None:
    good = Counter(set().union(*(hostile.good for hostile in made)) | {LAST.format(1), LAST.format(2)})
    bad = Counter(printable(name) for hostile in made for name in hostile.bad)
    assert (found - good, good - found) == (Counter(), Counter())
    assert (told - bad, bad - told) == (Counter(), Counter())
