"""What a version has answered so far, counted as Triton's statistics extension has it."""

import time
from dataclasses import dataclass, field
from typing import Any

EXACT_SIZES = 64  # batches of more rows are counted under the next power of two, so that the list stays short


@dataclass(slots=True)
class Duration:
    """How often something was done, and how long that took in all."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        self.count += 1
        self.ns += ns

    def to_json(self) -> dict[str, int]:
        return {"count": self.count, "ns": self.ns}


@dataclass(slots=True)
class Statistics:
    """The counters of one loaded version; they begin anew when it is loaded again.

    Attributes:
        last: when it last answered, in milliseconds since 1970.
        rows: that have been predicted.
        success: requests from their arrival in the queue to their answer.
        fail: the same of those that were refused or failed.
        queue: how long requests waited.
        compute: calls of the model, with the typing of their rows.
        batches: the same by rows in a call.
    """

    last: int = 0
    rows: int = 0
    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    compute: Duration = field(default_factory=Duration)
    batches: dict[int, Duration] = field(default_factory=dict)

    def answered(self, rows: int, ns: int) -> None:
        """A request was answered."""
        self.last = time.time_ns() // 1_000_000
        self.rows += rows
        self.success.add(ns)

    def called(self, rows: int, ns: int) -> None:
        """A call of the model has ended."""
        size = rows if rows <= EXACT_SIZES else 1 << (rows - 1).bit_length()
        self.compute.add(ns)
        if (batch := self.batches.get(size)) is None:
            batch = self.batches[size] = Duration()
        batch.add(ns)

    def to_json(self, name: str, version: str) -> dict[str, Any]:
        """As Triton's extension says it; of the stages of a call only the whole is measured."""
        none = Duration().to_json()
        return {
            "name": name,
            "version": version,
            "last_inference": self.last,
            "inference_count": self.rows,
            "execution_count": self.compute.count,
            "inference_stats": {
                "success": self.success.to_json(),
                "fail": self.fail.to_json(),
                "queue": self.queue.to_json(),
                "compute_input": none,
                "compute_infer": self.compute.to_json(),
                "compute_output": none,
                "cache_hit": none,
                "cache_miss": none,
            },
            "response_stats": {},
            "batch_stats": [
                {"batch_size": size, "compute_input": none, "compute_infer": of.to_json(), "compute_output": none}
                for size, of in sorted(self.batches.items())
            ],
            "memory_usage": [],
        }
