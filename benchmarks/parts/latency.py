"""File rename → visible commit, 100-row files, one a micro-batch; only the contestant whose turn it is runs."""

import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from benchmarks import tree
from benchmarks.bench import ROWS, Bench, Limit
from benchmarks.contestant import Contestant
from benchmarks.models import ELASTIC_NET

# Between a commit and the next file: what is left of a micro-batch, its own log, is no part of the next wait.
PAUSE = 0.05
SETTLE = 0.5  # after a contestant went on
STARTS_AT_ONCE = 3  # before the rounds
START_LOOK = 0.02  # seconds; looking all the time would take a tenth of a core from a start


def measure(bench: Bench) -> Any:
    """Contestant → first wait from the command, waits of the warm-up and the steady ones."""
    names = bench.able(bench.sizes.contestants["latency"])
    return in_turns(bench, names, ELASTIC_NET, bench.limit("latency"), bench.sizes.files)


def in_turns(bench: Bench, names: Sequence[str], model: str, limit: Limit, files: Mapping[str, int]) -> Any:
    """Start all, then a turn for each in each round.

    Args:
        files: of a contestant by its pace, over all rounds.
    """
    sizes = bench.sizes

    def begin(contestant: Contestant) -> dict[str, Any]:
        first = start(contestant, bench.text)
        warm = min(sizes.warm[contestant.entry.pace], files[contestant.entry.pace])
        return {"first_s": first, "warm_up_s": turn(contestant, bench.text, warm, limit), "waits_s": []}

    with ExitStack() as running, ThreadPoolExecutor(STARTS_AT_ONCE) as pool:
        contestants = [running.enter_context(bench.contestant(name, model)) for name in names]
        found = list(pool.map(begin, contestants))
        for number in range(sizes.rounds):
            print(f"bench:   round {number + 1} of {sizes.rounds}", file=sys.stderr)
            for contestant, of in zip(contestants, found, strict=True):
                share, again = -(-files[contestant.entry.pace] // sizes.rounds), sizes.again[contestant.entry.pace]
                of["waits_s"] += turn(contestant, bench.text, again + share, limit)[again:]
        for contestant, of in zip(contestants, found, strict=True):
            of["processor_s"] = tree.processor_seconds(contestant.root)
    return dict(zip(names, found, strict=True))


def start(contestant: Contestant, text: bytes) -> float:
    """Give the command with one file waiting; seconds until its rows can be seen."""
    contestant.put(text)
    contestant.start()
    contestant.wait_rows(ROWS, contestant.begun, START_LOOK)
    return time.monotonic() - contestant.begun


def turn(contestant: Contestant, text: bytes, files: int, limit: Limit) -> list[float]:
    """Its share of one round; then it stands still."""
    contestant.resume()
    time.sleep(SETTLE)
    waits = steady(contestant, text, files, limit)
    contestant.pause()
    return waits


def steady(contestant: Contestant, text: bytes, files: int, limit: Limit) -> list[float]:
    """Files one after the other, the wait for each; fewer when the time is over."""
    waits: list[float] = []
    while len(waits) < files and not (waits and limit.over()):
        waits.append(contestant.land(text, ROWS))
        time.sleep(PAUSE)
    return waits
