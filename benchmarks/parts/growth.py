"""Latency with many processed files in the landing folder, and after many commits to the table."""

import time
from typing import Any

from benchmarks.bench import Bench, Limit
from benchmarks.parts.latency import PAUSE, start, steady
from benchmarks.sizes import PACE, SLOW

ENDS = 100  # waits at either end of the many commits
MAX_FILES = 5000
SLOW_FILES = 10
CATCH_UP = 180.0  # seconds for the files in bulk
LANDED = 0.42  # of the time; the rest is for the commits


def measure(bench: Bench) -> Any:
    """`landed`: contestant → number of files → waits. `commits`: contestant → the first and the last waits."""
    sizes, landed, commits = bench.sizes, dict[str, Any](), dict[str, Any]()
    for name in (names := bench.able(sizes.contestants["landed"])):
        counts = sizes.landed_slow if PACE.get(name) == SLOW else sizes.landed
        landed[name] = with_landed(bench, name, counts, bench.limit("growth", share=LANDED / len(names)))
    for name in (names := bench.able(sizes.contestants["commits"])):
        commits[name] = with_commits(bench, name, bench.limit("growth", share=(1 - LANDED) / len(names)))
    return {"landed": landed, "commits": commits}


def with_landed(bench: Bench, name: str, counts: tuple[int, ...], limit: Limit) -> dict[str, list[float]]:
    """One process, to which files of one row are landed in bulk between the waits that are measured."""
    one_row, there, found = bench.file_of(1), 1, dict[str, list[float]]()
    with bench.contestant(name, max_files=MAX_FILES) as contestant:
        files = min(SLOW_FILES, bench.sizes.landed_files) if contestant.entry.pace == SLOW else bench.sizes.landed_files
        start(contestant, bench.text)
        for count in counts:
            if found and limit.over():
                break
            if (more := count - there) > 0:
                wanted = contestant.log.rows + more
                contestant.put_many(one_row, more)
                contestant.commits_until(wanted, min(time.monotonic() + CATCH_UP, bench.ends))
                if contestant.log.rows < wanted:  # what comes now would wait behind them
                    break
                there += more
            steady(contestant, bench.text, files // 2, limit)
            found[str(count)] = steady(contestant, bench.text, files, limit)
            there += files // 2 + len(found[str(count)])
    return found


def with_commits(bench: Bench, name: str, limit: Limit) -> dict[str, Any]:
    """Commit after commit, with a pause only where it counts."""
    first, last = list[float](), list[float]()
    ends = min(ENDS, bench.sizes.commits // 2)
    with bench.contestant(name) as contestant:
        start(contestant, bench.text)
        steady(contestant, bench.text, ends, limit)  # a young process is slow, and that is no matter of the table
        first = steady(contestant, bench.text, ends, limit)
        while contestant.log.version < bench.sizes.commits - ends and not limit.over():
            contestant.land(bench.text, 100)
        time.sleep(PAUSE)
        last = steady(contestant, bench.text, ends, Limit(limit.ends + 60))
        return {"commits": contestant.log.version, "first_s": first, "last_s": last}
