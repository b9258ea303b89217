"""Many files that wait when the command is given: the whole command, and the rate once it runs."""

import time
from typing import Any

from benchmarks.bench import Bench
from benchmarks.sizes import Load

AT_LEAST = 60.0  # seconds for each


def measure(bench: Bench) -> Any:
    """Load → contestant → when it had started, and its commits; incomplete where the time was over."""
    found: dict[str, Any] = {}
    for title, load in bench.sizes.loads.items():
        found[title] = {"files": load.files, "rows": load.files * load.rows, "contestants": {}}
        for name in bench.able(load.contestants):
            found[title]["contestants"][name] = catch_up(bench, name, load)
    return found


def catch_up(bench: Bench, name: str, load: Load) -> dict[str, Any]:
    """One contestant, one load. It is ended after its share of the part's time, and what it did by then counts."""
    runs = sum(len(one.contestants) for one in bench.sizes.loads.values())
    with bench.contestant(name, max_files=load.max_files) as contestant:
        contestant.put_many(bench.file_of(load.rows), load.files)
        contestant.start()
        started = contestant.wait_started()
        ends = min(time.monotonic() + max(AT_LEAST, 60 * bench.sizes.minutes["catch_up"] / runs), bench.ends)
        commits = contestant.commits_until(load.files * load.rows, ends)
        return {"started_s": started, "commits": commits, "complete": contestant.log.rows == load.files * load.rows}
