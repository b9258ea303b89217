"""The numbers to reach of drift, each against what was measured; and their table."""

import math
from collections.abc import Mapping
from typing import Any

from benchmarks.drifting.windows import CATEGORY, HALF, NULLS, QUARTER, ROWS, UNSHIFTED
from benchmarks.figures import ratio, table
from benchmarks.goals import Goal, at_least, at_most

OURS = "streamscore"
FOUND = ((HALF, 100, 0.95), (QUARTER, 300, 0.90))


def of_drift(found: Mapping[str, Any]) -> list[Goal]:
    """False alarms over all sizes, and shifts found, by data set."""
    made = []
    for name, tools in found.items():
        counts = tools.get(OURS, {}).get("counts", {})
        plain = [counts.get(f"{UNSHIFTED} | {rows}", {}) for rows in ROWS]
        windows, said, alarms = (sum(of.get(what, 0) for of in plain) for what in ("windows", "any", "alarms"))
        share = ratio(said, windows)
        made += [
            at_most(f"drift, {name}: unshifted windows", "≤ 1 % say drift", share, 0.01, f"{said} of {windows:,}"),
            at_most(
                f"drift, {name}: alarms, 2 of 3 windows",
                "0",
                alarms if windows else math.nan,
                0,
                f"{alarms} of {windows:,}",
            ),
        ]
        for kind, rows, least in FOUND:
            of = counts.get(f"{kind} | {rows}", {})
            part = ratio(of.get("named", 0), of.get("windows", 0))
            made.append(
                at_least(f"drift, {name}: {kind}, {rows} rows", f"≥ {least:.0%} found", part, least, f"{part:.0%}")
            )
    return made


def drift_table(found: Mapping[str, Any]) -> str:
    """A row per data set, kind of window and tool."""
    rows = []
    for name, tools in found.items():
        for kind in (UNSHIFTED, HALF, QUARTER, CATEGORY, NULLS):
            for tool, of in tools.items():
                cells = [_share(of["counts"].get(f"{kind} | {size}", {}), kind) for size in ROWS]
                rows.append([name, kind, tool, *cells, f"{1000 * of['seconds']:,.0f} ms"])
    sizes = [f"{size:,} rows" for size in ROWS]
    said = (
        "Of unshifted windows the share in which any column drifts; of the others the share in which the changed "
        "column does, all columns taken in turn."
    )
    return f"{said}\n\n" + table(["", "windows", "", *sizes, "a window"], rows)


def _share(of: Mapping[str, int], kind: str) -> str:
    if not of.get("windows"):
        return "–"
    hits = of["any"] if kind == UNSHIFTED else of["named"]
    return f"{hits / of['windows']:.1%} of {of['windows']:,}"
