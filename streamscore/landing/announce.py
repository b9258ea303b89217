"""Telling the driver, ahead of Spark, which files make a micro-batch, and what is wrong in the landing folder."""

import contextlib
import json
import socket
from collections.abc import Sequence
from typing import Any

from streamscore.landing.troubles import Trouble, to_message

AT_ONCE = 64  # troubles of either list in a datagram, which then has 100 KB


class Announcer:
    """The source's end of the socket; the driver's is `jobs/streaming/early.py`."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def announce(self, offset: dict[str, Any]) -> None:
        """Name a manifest; one that is too long, or that nobody waits for, is scored in its time."""
        with contextlib.suppress(OSError):
            self._send(offset)

    def tell(self, new: Sequence[Trouble], over: Sequence[Trouble]) -> bool:
        """Hand over troubles; whether all of them were taken, else they may be told twice."""
        try:
            for first in range(0, max(len(new), len(over)), AT_ONCE):
                self._send(to_message(new[first : first + AT_ONCE], over[first : first + AT_ONCE]))
        except OSError:  # nobody listens, or not as fast
            return False
        return True

    def _send(self, message: dict[str, Any]) -> None:
        self._socket.sendto(json.dumps(message, separators=(",", ":")).encode(), self._address)
