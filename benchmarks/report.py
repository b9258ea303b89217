"""The Markdown page of a run: goals first, then a table per part; raw figures in, text out."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.drift_goals import drift_table, of_drift
from benchmarks.figures import median, milliseconds, quantile, ratio, table, times
from benchmarks.goals import ARTICLE, LOOP, MIB, OURS, goals, run_of, waits
from benchmarks.serving_goals import of_online

AGAINST = (OURS, LOOP, ARTICLE)
VERDICT = {True: "yes", False: "**no**", None: "not measured"}


def page(results: Mapping[str, Any]) -> str:
    """All of it."""
    parts = results["parts"]
    found = goals(parts) + (of_online(parts["serving"]) if "serving" in parts else [])
    found += of_drift(parts.get("drift", {}))
    rows = [[g.row, g.bound, g.measured, VERDICT[g.holds]] for g in found]
    sections = [
        f"# Measured: {results['machine']['line']}\n\nSizes: {results['size']}. Raw figures: results.json.",
        "## Numbers to reach\n\n" + table(["", "goal", "measured", "holds"], rows),
        *[f"## {title}\n\n{make(parts[part])}" for part, (title, make) in SECTIONS.items() if parts.get(part)],
        "## Left out\n\n" + "\n".join(f"- {name}: {why}" for name, why in results.get("left_out", {}).items()),
        *([failed(results["failed"])] if results["failed"] else []),
        "## How long it took\n\n" + table(["part", "s"], [[p, f"{s:.0f}"] for p, s in results["seconds"].items()]),
    ]
    return "\n\n".join(sections) + "\n"


def failed(found: Mapping[str, str]) -> str:
    """What did not work, in a line each."""
    return "## Did not work\n\n" + "\n".join(f"- {part}: {' '.join(why.split())[:300]}" for part, why in found.items())


def of_latency(found: Mapping[str, Any]) -> str:
    """A row per contestant; the spread is that of the middle half."""
    header = ["", "p50", "p90", "p99", "middle half", "batches", *[f"against {name}" for name in AGAINST]]
    rows = []
    for name in found:
        of = waits(found, name)
        figures = [milliseconds(quantile(of, share)) for share in (0.5, 0.9, 0.99)]
        spread = f"{milliseconds(quantile(of, 0.25))} to {milliseconds(quantile(of, 0.75))}"
        against = [times(ratio(median(of), median(waits(found, other)))) for other in AGAINST]
        rows.append([name, *figures, spread, f"{len(of):,}", *against])
    return table(header, rows)


def of_models(found: Mapping[str, Any]) -> str:
    """A table per model."""
    return "\n\n".join(f"### {model}\n\n{of_latency(of)}" for model, of in found.items())


def of_start(found: Mapping[str, Any]) -> str:
    """Seconds of each start."""
    rows = [
        [name, f"{median(of):.1f} s", f"{min(of):.1f} to {max(of):.1f} s", str(len(of))] for name, of in found.items()
    ]
    return table(["", "command → first visible prediction", "range", "starts"], rows)


def of_catch_up(found: Mapping[str, Any]) -> str:
    """A table per load."""
    header = ["", "whole command", "after start", "steady rows/s", "commits", *[f"against {n}" for n in AGAINST]]
    made = []
    for load, of in found.items():
        rows = []
        for name, run in of["contestants"].items():
            did = run_of(found, load, name)
            done = sum(rows for _, rows in run["commits"])
            whole = "–" if math.isnan(did.whole) else f"{did.whole:.1f} s"
            whole = whole if run["complete"] else f"not done: {done:,} rows when its time was over"
            after = "–" if math.isnan(did.after_start) else f"{did.after_start:.1f} s"
            rate = "–" if math.isnan(did.rate) else f"{did.rate:,.0f}"
            against = [times(ratio(did.rate, run_of(found, load, other).rate)) for other in AGAINST]
            rows.append([name, whole, after, rate, str(len(run["commits"])), *against])
        made.append(f"### {load}\n\n{table(header, rows)}")
    return "\n\n".join(made)


def of_memory(found: Mapping[str, Any]) -> str:
    """Peaks of the tree, and how it was at the thirds of the time."""
    rows = []
    for name, of in found.items():
        rss, pss = ([sample[at] for sample in of["samples"]] for at in (1, 2))
        thirds = [pss[len(pss) * n // 3 : len(pss) * (n + 1) // 3] for n in range(3)]
        over_time = " / ".join(f"{median(third) / MIB:,.0f}" for third in thirds)
        rows.append([name, f"{of['rows']:,}", f"{max(rss) / MIB:,.0f}", f"{max(pss) / MIB:,.0f}", over_time])
    return table(["", "rows", "peak RSS, MiB", "peak PSS, MiB", "median PSS by thirds of the time, MiB"], rows)


def of_idle(found: Mapping[str, Any]) -> str:
    """Shares of one core."""
    rows = [[name, f"{of['processor_s'] / of['seconds']:.1%}", f"{of['seconds']:.0f} s"] for name, of in found.items()]
    return table(["", "of one core", "watched"], rows)


def of_growth(found: Mapping[str, Any]) -> str:
    """Medians by number of processed files, and at either end of many commits."""
    counts = sorted({int(count) for of in found["landed"].values() for count in of})
    rows = [
        [name, *[milliseconds(median(of.get(str(count), ()))) for count in counts]]
        for name, of in found["landed"].items()
    ]
    landed = table(["processed files in the landing folder", *[f"{count:,}" for count in counts]], rows)
    ends = [
        [name, f"{of['commits']:,}", milliseconds(median(of["first_s"])), milliseconds(median(of["last_s"]))]
        for name, of in found["commits"].items()
    ]
    return f"{landed}\n\n{table(['', 'commits', 'p50 of the first', 'p50 of the last'], ends)}"


def of_left_behind(found: Mapping[str, Any]) -> str:
    """What an hour would leave, by what some seconds did."""
    kinds = ("landed", "commits", "data_files", "log_files", "checkpoint_files")
    rows = [
        [name, f"{of['seconds']:.0f} s", *[f"{3600 * of[kind] / of['seconds']:,.0f}" for kind in kinds]]
        for name, of in found.items()
    ]
    header = ["per hour", "watched", "files landed", "commits", "data files", "log entries", "checkpoint files"]
    return table(header, rows)


def of_store(found: Mapping[str, Any]) -> str:
    """Latency in the bucket, and LIST requests."""
    rows = [
        [
            name,
            *[milliseconds(quantile(of["waits_s"], share)) for share in (0.5, 0.9, 0.99)],
            str(len(of["waits_s"])),
            f"{of['lists_per_s']:.1f}",
            f"{of['idle_lists_per_s']:.1f}",
        ]
        for name, of in found.items()
    ]
    return table(["", "p50", "p90", "p99", "batches", "LIST/s", "LIST/s when idle"], rows)


def of_serving(found: Mapping[str, Any]) -> str:
    """A row per load and server; the rest is in the goals."""
    rows = []
    for load, servers in found.get("loads", {}).items():
        slowest = min(of["rate"] for of in servers.values())
        for name, of in servers.items():
            waits = [milliseconds(of["p50"]), milliseconds(of["p99"])]
            rows.append(
                [load, name, f"{of['rate']:,.0f}", times(ratio(of["rate"], slowest)), *waits, f"{of['failed']:,.0f}"]
            )
    return table(["16 connections", "", "requests/s", "against the slower", "p50", "p99", "failed"], rows)


SECTIONS: dict[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "latency": ("Latency: file rename → visible commit, elastic net", of_latency),
    "large_models": ("Latency with larger models", of_models),
    "start_up": ("Start", of_start),
    "catch_up": ("Catch-up", of_catch_up),
    "memory": ("Memory of the process tree while it catches up", of_memory),
    "idle": ("Idle", of_idle),
    "growth": ("Growth", of_growth),
    "left_behind": ("Left behind in the table", of_left_behind),
    "object_store": ("Object store: PUT → visible commit", of_store),
    "serving": ("Online: requests of one process", of_serving),
    "drift": ("Drift: windows of real rows", drift_table),
}
