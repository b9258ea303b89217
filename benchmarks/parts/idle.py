"""Processor time of the process tree while nothing lands, as a share of one core."""

import time
from typing import Any

from benchmarks import tree
from benchmarks.bench import Bench
from benchmarks.parts.latency import start

SETTLE = 10.0  # after the first batch: what a start leaves to do is not idleness


def measure(bench: Bench) -> Any:
    """Contestant → seconds watched, and processor seconds in them."""
    found = {}
    for name in bench.able(bench.sizes.contestants["idle"]):
        with bench.contestant(name) as contestant:
            start(contestant, bench.text)
            time.sleep(min(SETTLE, bench.sizes.idle))
            before, begun = tree.processor_seconds(contestant.root), time.monotonic()
            time.sleep(bench.sizes.idle)
            used = tree.processor_seconds(contestant.root) - before
            found[name] = {"seconds": time.monotonic() - begun, "processor_s": used}
    return found
