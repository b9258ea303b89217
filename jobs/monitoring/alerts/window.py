"""How many, over a window of time; in bounded memory, and the same however often it was stored in between."""

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta

SLICES = 60  # of a window: a sum is of the last 60 to 61 sixtieths


@dataclass
class WindowSums:
    """Sums of numbers over the last window, a slice at a time.

    Attributes:
        slices: number of the slice since 1970 → the sums in it.
    """

    slices: dict[int, list[float]] = field(default_factory=dict)

    def add(self, at: datetime, window: timedelta, numbers: tuple[float, ...]) -> list[float]:
        """Add numbers, and give the sums over the window that ends now."""
        now = math.floor(at.timestamp() / (window.total_seconds() / SLICES))
        before = self.slices.get(now, [0.0] * len(numbers))
        self.slices[now] = [a + b for a, b in zip(before, numbers, strict=True)]
        self.slices = {number: sums for number, sums in self.slices.items() if now - SLICES < number <= now}
        return [math.fsum(column) for column in zip(*self.slices.values(), strict=True)]
