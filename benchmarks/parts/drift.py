"""Drift: false alarms on windows that did not move, and what is found of those that did; beside other libraries."""

import json
import pickle
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import pandas as pd
import pyarrow as pa

from benchmarks.bench import Bench
from benchmarks.drifting.windows import UNSHIFTED, Window, data_sets, splits, windows
from benchmarks.sizes import ROOT
from streamscore.statistics.sketches import ColumnSketch, sketch
from streamscore.statistics.verdict import compare, is_alarm

OURS, OTHERS = "streamscore", ("nannyml", "evidently")


def measure(bench: Bench) -> Any:
    """By data set and tool: for each kind of window and size how many, in how many drift was found, and seconds.

    The other libraries get some windows of the first split.
    """
    limit, found = bench.limit("drift"), {}
    for rows in data_sets():
        ours: list[dict[str, Any]] = []
        others: dict[str, list[dict[str, Any]]] = {name: [] for name in OTHERS}
        for split in splits(rows, seed=1):
            made = list(windows(rows, split, bench.sizes.drift, seed=100 + split.number))
            ours += _ours(split.before, made)
            for name in OTHERS if split.number == 0 else ():
                if not limit.over():
                    others[name] += _theirs(bench, name, split.before, _thinned(made, bench.sizes.drift_of_others))
        found[rows.name] = {name: summary(said) for name, said in {OURS: ours, **others}.items() if said}
    return found


def summary(said: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts, by kind and size: windows, those with any column drifted, with the changed one; of unshifted ones alarms.

    Args:
        said: for each window `kind`, `rows`, `split`, `column`, `drifted` (columns) and `seconds`, in their order.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in said:
        of = counts[f"{one['kind']} | {one['rows']}"]
        of.update(windows=1, any=bool(one["drifted"]), named=one["column"] in one["drifted"])
    for (kind, rows, _), run in groupby(said, lambda one: (one["kind"], one["rows"], one["split"])):
        if kind == UNSHIFTED:
            counts[f"{kind} | {rows}"]["alarms"] += alarms([one["drifted"] for one in run])
    seconds = sum(one["seconds"] for one in said) / max(1, len(said))
    return {"counts": counts, "seconds": seconds}


def alarms(drifted: Sequence[Sequence[str]]) -> int:
    """Windows at which a column alarms: 2 of its last 3 windows drifted."""
    columns = {column for one in drifted for column in one}
    return sum(
        any(is_alarm([column in one for one in drifted[: at + 1]]) for column in columns) for at in range(len(drifted))
    )


def _ours(before: pd.DataFrame, made: Sequence[Window]) -> list[dict[str, Any]]:
    was, said = _sketches(before), []
    for window in made:
        begun = time.monotonic()
        drifted = sorted({test.column for test in compare(was, _sketches(window.frame)).drifted})
        said.append(_said(window, drifted, time.monotonic() - begun))
    return said


def _sketches(frame: pd.DataFrame) -> list[ColumnSketch]:
    columns = ((str(name), pa.array(frame[name], from_pandas=True)) for name in frame)
    return [of for name, values in columns if (of := sketch(name, values))]


def _said(window: Window, drifted: list[str], seconds: float) -> dict[str, Any]:
    of = {"kind": window.kind, "rows": window.rows, "split": window.split, "column": window.column}
    return of | {"drifted": drifted, "seconds": seconds}


def _thinned(made: Sequence[Window], most: int) -> list[Window]:
    """Of each size at most so many as they are, and half as many of each kind of change: a window takes a second."""
    thinned = []
    for (kind, _), run in groupby(made, lambda window: (window.kind, window.rows)):
        all_of, some = list(run), most if kind == UNSHIFTED else max(1, most // 2)
        thinned += [all_of[at * len(all_of) // some] for at in range(some)] if len(all_of) > some else all_of
    return thinned


def _theirs(bench: Bench, name: str, before: pd.DataFrame, made: Sequence[Window]) -> list[dict[str, Any]]:
    """A library with its defaults, in its own Python."""
    home = ROOT / ".tools" / name
    if not (home / ".lock").exists():
        bench.left_out[f"drift: {name}"] = f"found no .tools/{name}; make it: benchmarks/libraries/install.sh {name}"
        return []
    asked = bench.scratch / f"drift-{name}.pickle"
    asked.write_bytes(pickle.dumps((before, [window.frame for window in made])))
    command = [str(home / "bin" / "python"), "-W", "ignore", "-m", f"benchmarks.drifting.{name}", str(asked)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1800)
    if done.returncode:
        bench.left_out[f"drift: {name}"] = done.stderr.strip().splitlines()[-1][:300]
        return []
    answers = json.loads(done.stdout.splitlines()[-1])
    return [_said(window, *answer) for window, answer in zip(made, answers, strict=True)]
