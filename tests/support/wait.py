"""Waiting in tests. A limit ends a test that hangs; it says nothing about speed, so it is long on purpose."""

import time
from collections.abc import Callable

HANG_SECONDS = 120  # beside four busy loops on two cores, what takes 1 s alone took up to 20 s


def until(done: Callable[[], object], seconds: float = HANG_SECONDS) -> float:
    """Wait until `done` returns something true; returns how many seconds that took."""
    begun = time.monotonic()
    while not done():
        assert time.monotonic() - begun < seconds, f"not in {seconds} s"
        time.sleep(0.01)
    return time.monotonic() - begun
