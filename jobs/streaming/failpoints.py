"""Kills on demand, for the tests of exactly-once: no-ops until `arm` is called."""

import os
import signal
from dataclasses import dataclass
from typing import NoReturn

from schemas.errors import SettingsError

POINTS = ("offset", "model_record", "parts", "quarantine", "predictions", "spark_commit", "ledger", "archive")


@dataclass(frozen=True)
class _Armed:
    point: str  # with `:before` or `:after`
    batch_id: int | None
    driver_pid: int


_armed: _Armed | None = None


def arm(spec: str, driver_pid: int | None = None) -> None:
    """Kill the stream at one point; called by the edge, and again in each worker process of the stream.

    Args:
        spec: `$STREAMSCORE_FAIL_AT`: `<point>:<before|after>[:<batch id>]`; empty disarms.
        driver_pid: the process to take along; this one when it is not given.

    Raises:
        SettingsError: the text is none of these.
    """
    global _armed
    if not spec:
        _armed = None
        return
    point, when, batch_id = (*spec.split(":"), "", "")[:3]
    if point not in POINTS or when not in ("before", "after") or spec.count(":") > 2 or not _is_id(batch_id):
        raise SettingsError(
            f"STREAMSCORE_FAIL_AT is {spec!r}, wanted <point>:<before|after>[:<batch id>] "
            f"with a point of {', '.join(POINTS)}; unset it or set it right"
        )
    _armed = _Armed(f"{point}:{when}", int(batch_id) if batch_id else None, driver_pid or os.getpid())


def armed() -> tuple[str, int] | None:
    """What to call `arm` with in another process of the same stream; None if nothing is armed."""
    if _armed is None:
        return None
    return _armed.point + ("" if _armed.batch_id is None else f":{_armed.batch_id}"), _armed.driver_pid


def fail_at(point: str, batch_id: int | None = None) -> None:
    """Kill -9 the driver and this process, if armed for this point (`predictions:before`) and batch."""
    if _armed and _armed.point == point and _armed.batch_id in (None, batch_id):
        _kill(_armed.driver_pid)


def _is_id(text: str) -> bool:
    return not text or text.isdecimal()


def _kill(driver_pid: int) -> NoReturn:
    try:
        # The group takes the JVM along, which the driver started; never the group of a test runner that started us.
        if os.getpgid(driver_pid) == driver_pid:
            os.killpg(driver_pid, signal.SIGKILL)
        elif driver_pid != os.getpid():
            os.kill(driver_pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit(137)  # never reached: SIGKILL cannot be survived
