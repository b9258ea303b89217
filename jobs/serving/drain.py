"""The end of a process: not ready for a while, and still answering."""

import asyncio
import signal
import threading
from collections.abc import Callable
from typing import Any

DRAIN = "streamscore.drain"  # where a connection finds what `drain_at_sigterm` gives


def drain_at_sigterm(not_ready: Callable[[], None], seconds: float) -> list[int]:
    """At SIGTERM call `not_ready`, and hand the signal on after some seconds, or when it comes again.

    Gives the signals that came: empty while nothing ends.

    Who balances the load asks for readiness, and sends nothing more to a process that says no. Without that time the
    first to hear of the end would be requests that cannot connect.
    """
    begun: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # only there a process can be told
        return begun
    loop, before = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)

    def begin(number: int, frame: Any) -> None:
        not_ready()
        if begun or not seconds:
            hand_on(number, frame)
        begun.append(number)
        loop.call_soon_threadsafe(loop.call_later, seconds, hand_on, number, frame)

    def hand_on(number: int, frame: Any) -> None:
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGTERM, begin)
    return begun
