"""Command → first visible prediction, of a file that waits already."""

from typing import Any

from benchmarks.bench import Bench
from benchmarks.parts.latency import start


def measure(bench: Bench) -> Any:
    """Contestant → seconds of each start, in turn; every start has a checkpoint and a table of its own."""
    limit = bench.limit("start_up")
    found: dict[str, list[float]] = {name: [] for name in bench.able(bench.sizes.contestants["start_up"])}
    for number in range(bench.sizes.starts):
        for name, seconds in found.items():
            if number and limit.over():
                break
            with bench.contestant(name) as contestant:
                seconds.append(start(contestant, bench.text))
    return found
