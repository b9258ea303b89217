"""Latency with larger models: a forest of 100 trees, and one whose predict takes 20 ms a call."""

from typing import Any

from benchmarks.bench import Bench
from benchmarks.models import FOREST, LATE
from benchmarks.parts.latency import in_turns
from benchmarks.sizes import SLOW

SLOW_FILES = 10  # of a contestant whose batches take seconds


def measure(bench: Bench) -> Any:
    """Model → as for latency."""
    sizes = bench.sizes
    names = bench.able(sizes.contestants["large_models"])
    files = dict.fromkeys(sizes.files, sizes.model_files) | {SLOW: min(SLOW_FILES, sizes.model_files)}
    found = {}
    for model in (FOREST, LATE):
        limit = bench.limit("large_models", share=0.5)
        found[model] = in_turns(bench, names, model, limit, files)
    return found
