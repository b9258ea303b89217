"""Commits and files that some time of steady work leaves in the table."""

import time
from typing import Any

from benchmarks.bench import ROWS, Bench
from benchmarks.contestant import Contestant
from benchmarks.parts.latency import start

PERIOD = 0.1  # ten files a second, or as many as it takes


def measure(bench: Bench) -> Any:
    """Contestant → seconds, files landed, and what more was in the table at the end."""
    found = {}
    for name in bench.able(bench.sizes.contestants["left_behind"]):
        with bench.contestant(name) as contestant:
            start(contestant, bench.text)
            before, begun, landed = in_table(contestant), time.monotonic(), 0
            while time.monotonic() - begun < bench.sizes.steady:
                due = begun + landed * PERIOD
                contestant.land(bench.text, ROWS)
                landed += 1
                time.sleep(max(0.0, due + PERIOD - time.monotonic()))
            after = in_table(contestant)
            more = {what: count - before[what] for what, count in after.items()}
            found[name] = {"seconds": time.monotonic() - begun, "landed": landed, **more}
    return found


def in_table(contestant: Contestant) -> dict[str, int]:
    """Versions of the table, and its files on the disk: data, entries of the log, checkpoints of the log."""
    contestant.log.look()
    data = log = checkpoints = 0
    for path in contestant.table.rglob("*"):
        if path.name.startswith(".") or not path.is_file():
            continue
        if path.parent.name != "_delta_log":
            data += 1
        elif path.suffix == ".json":
            log += 1
        else:
            checkpoints += 1
    return {"commits": contestant.log.version, "data_files": data, "log_files": log, "checkpoint_files": checkpoints}
