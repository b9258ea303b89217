"""What faults did to a stream, as one table."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from tests.support.oracle import Tally


@dataclass
class Report:
    """Per kind of fault: what is wrong afterwards, and how long after the fault's end everything was in."""

    tallies: dict[str, list[Tally]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, fault: str, tally: Tally, seconds: float) -> None:
        self.tallies.setdefault(fault, []).append(tally)
        self.seconds.setdefault(fault, []).append(seconds)
        assert tally == Tally(0, 0), fault

    def lines(self) -> Iterator[str]:
        yield "| fault | times | rows lost | rows duplicated | recovery p50 | p99 |"
        yield "|---|---|---|---|---|---|"
        for fault, tallies in self.tallies.items():
            p50, p99 = np.percentile(self.seconds[fault], [50, 99])
            lost, doubled = sum(t.lost for t in tallies), sum(t.duplicated for t in tallies)
            yield f"| {fault} | {len(tallies)} | {lost} | {doubled} | {p50:.1f} s | {p99:.1f} s |"
