"""The numbers to reach of the online service, each against what was measured; two cores, one worker each."""

import math
from collections.abc import Mapping
from typing import Any

from benchmarks.figures import milliseconds, ratio, times
from benchmarks.goals import Goal, at_least, at_most
from benchmarks.parts.serving import ALONE, HALF, MLFLOW, OURS

ROW, ROWS = "elastic net, 1 row", "elastic net, 1,000 rows"
FOREST_ROW, LATE_ROW = "forest of 100 trees, 1 row", "20 ms a call, 1 row"
SLOWEST, FLAT, POINTS = 1.0, 1.02, 0.02


def of_online(found: Mapping[str, Any]) -> list[Goal]:
    """All rows."""
    return [*of_loads(found.get("loads", {})), *of_models(found), *of_memory(found)]


def of_loads(found: Mapping[str, Any]) -> list[Goal]:
    def of(load: str, server: str, what: str) -> float:
        return float(found.get(load, {}).get(server, {}).get(what, math.nan))

    made = []
    for row, bound, beside in ((ROW, 10, MLFLOW), (ROWS, 5, MLFLOW), (FOREST_ROW, 5, MLFLOW), (LATE_ROW, 8, ALONE)):
        faster = ratio(of(row, OURS, "rate"), of(row, beside, "rate"))
        made.append(at_least(f"online: {row}", f"≥ {bound} × {beside}", faster, bound, times(faster)))
    for row, most in ((ROW, 0.015), (HALF, 0.005)):
        tail = of(row, OURS, "p99")
        made.append(at_most(f"online: {row}, p99", f"≤ {1000 * most:.0f} ms", tail, most, milliseconds(tail)))
    return made


def of_models(found: Mapping[str, Any]) -> list[Goal]:
    promotion, many = found.get("promotion", {}), found.get("many", {})
    promoted, quiet = promotion.get("promoted", {}), promotion.get("quiet", {})
    failed, slower = promoted.get("failed", math.nan), ratio(promoted.get("p99", math.nan), quiet.get("p99", math.nan))
    behind = many.get("ideal", math.nan) - many.get("hit_rate", math.nan)
    slowest, loads = many.get("slowest", math.nan), found.get("first_calls", {}).get("loads", math.nan)
    return [
        at_most("online: promotions at full load", "0 failed", failed, 0, f"{failed:.0f}"),
        at_most("online: promotions at full load, p99", "≤ 3 × quiet", slower, 3, times(slower)),
        at_most(
            "online: 10,000 models, 200 in memory, hit rate",
            "≤ 2 points below an ideal LRU",
            behind,
            POINTS,
            f"{many.get('hit_rate', math.nan):.3f} of {many.get('ideal', math.nan):.3f}",
        ),
        at_most("online: 10,000 models, slowest request", "≤ 1 s", slowest, SLOWEST, milliseconds(slowest)),
        at_most("online: 1,000 first calls at once", "1 load", loads, 1, f"{loads:.0f}"),
    ]


def of_memory(found: Mapping[str, Any]) -> list[Goal]:
    made = []
    for row, part, most in (
        ("online: 500 loads and unloads, memory", "come_and_go", 1.1),
        ("online: half load, memory", "soak", FLAT),
    ):
        of = found.get(part, {})
        grown = ratio(of.get("last", math.nan), of.get("first", math.nan))
        made.append(at_most(row, f"≤ {most} × before", grown, most, times(grown)))
    return made
