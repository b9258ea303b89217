"""Memory of the process tree, sampled all through a catch-up."""

import threading
import time
from typing import Any

from benchmarks import tree
from benchmarks.bench import Bench
from benchmarks.contestant import Contestant

LOAD_ROWS, MAX_FILES = 5000, 50
EVERY = 0.5
HEAP = 2**30  # bytes, `spark.driver.memory` by default


def measure(bench: Bench) -> Any:
    """Contestant → rows done, and samples: seconds from the command, resident and proportional bytes."""
    files, found = bench.sizes.memory_files, dict[str, Any]()
    for name in bench.able(bench.sizes.contestants["memory"]):
        limit = bench.limit("memory")
        with bench.contestant(name, max_files=MAX_FILES) as contestant:
            contestant.put_many(bench.file_of(LOAD_ROWS), files)
            contestant.start()
            with Sampler(contestant) as sampler:
                started = contestant.wait_started()
                commits = contestant.commits_until(files * LOAD_ROWS, limit.ends)
            rows = sum(count for _, count in commits)
            found[name] = {
                "rows": rows,
                "heap": HEAP,
                "started_s": started,
                "commits": commits,
                "samples": sampler.samples,
            }
    return found


class Sampler:
    """Looks at a contestant's memory from a thread, as long as the block goes on."""

    def __init__(self, contestant: Contestant) -> None:
        self._contestant = contestant
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
        self.samples: list[tuple[float, int, int]] = []

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(EVERY):
            found = tree.memory(self._contestant.root)
            self.samples.append((time.monotonic() - self._contestant.begun, found.rss, found.pss))
