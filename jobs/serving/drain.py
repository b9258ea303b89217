"""The end of a process: not ready for a while, and still answering."""

import asyncio
import signal
import threading
from collections.abc import Callable
from typing import Any


def drain_at_sigterm(not_ready: Callable[[], None], seconds: float) -> None:
    """At SIGTERM call `not_ready`, and hand the signal on after some seconds, or when it comes again.

    Who balances the load asks for readiness, and sends nothing more to a process that says no. Without that time the
    first to hear of the end would be requests that cannot connect.
    """
    if threading.current_thread() is not threading.main_thread():  # only there a process can be told
        return
    loop, before = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)
    begun: list[int] = []

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
