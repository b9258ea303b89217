"""Many files that wait when the command is given: the whole command, and the rate once it runs."""

import time
from typing import Any

from benchmarks.bench import Bench, Limit
from benchmarks.sizes import Load


def measure(bench: Bench) -> Any:
    """Load → contestant → when it had started, and its commits; incomplete where the time was over."""
    found, limit = dict[str, Any](), bench.limit("catch_up")
    for title, load in bench.sizes.loads.items():
        found[title] = {"files": load.files, "rows": load.files * load.rows, "contestants": {}}
        for name in bench.able(load.contestants):
            if limit.over():
                break
            found[title]["contestants"][name] = catch_up(bench, name, load, limit)
    return found


def catch_up(bench: Bench, name: str, load: Load, limit: Limit) -> dict[str, Any]:
    """One contestant, one load. It is ended when its time is over, and what it did by then counts."""
    with bench.contestant(name, max_files=load.max_files) as contestant:
        contestant.put_many(bench.file_of(load.rows), load.files)
        contestant.start()
        started = contestant.wait_started()
        ends = min(time.monotonic() + load.seconds, limit.ends)
        commits = contestant.commits_until(load.files * load.rows, ends)
        return {"started_s": started, "commits": commits, "complete": contestant.log.rows == load.files * load.rows}
